"""How far a model's download is: its size asked of the hub once, what is there read from Hugging Face's cache."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["downloaded", "follow_download", "weight_files"]

_PERIOD_SECONDS = 1.0
_CALL_SECONDS = 10.0
_GB = 1e9
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def follow_download(model: str, cache: str | None, write: Callable[[str], None]) -> threading.Event:
    """While a hub model's weights are on their way, `write` "downloading 3.1 of 15.2 GB"; in the end "".

    In a thread of its own, and without a word where the hub does not tell or is not to be asked.

    Args:
        model: resolved folder or hub id.
        cache: the folder of vLLM's `download_dir`; None for the user's own.
        write: called about once a second.

    Returns:
        Set it to stop.
    """
    done = threading.Event()
    if not Path(model).is_absolute() and not any(os.environ.get(name, "0") not in ("", "0") for name in _OFFLINE):
        threading.Thread(
            target=_follow, args=(model, cache, write, done), name="sparkllm-download", daemon=True
        ).start()
    return done


def _follow(model: str, cache: str | None, write: Callable[[str], None], done: threading.Event) -> None:
    with contextlib.suppress(Exception):  # whatever is wrong with the hub, vLLM says it
        from huggingface_hub.constants import HF_HUB_CACHE

        files = weight_files(model)
        blobs = Path(cache or HF_HUB_CACHE, f"models--{model.replace('/', '--')}", "blobs")
        total = sum(files.values())
        while (here := downloaded(blobs, files)) < total and not done.is_set():
            write(f"downloading {here / _GB:.1f} of {total / _GB:.1f} GB")
            done.wait(_PERIOD_SECONDS)
        write("")


def weight_files(model: str) -> dict[str, int]:
    """The weights' files of a hub model that vLLM loads: name in the cache (their SHA-256) -> bytes."""
    from huggingface_hub import HfApi

    found = HfApi().model_info(model, timeout=_CALL_SECONDS, files_metadata=True).siblings or []
    large = {file.rfilename: file.lfs for file in found if file.lfs is not None and "/" not in file.rfilename}
    names = [name for name in large if name.endswith(".safetensors")] or [n for n in large if n.endswith(".bin")]
    return {large[name].sha256: large[name].size for name in names}


def downloaded(blobs: Path, files: Mapping[str, int]) -> int:
    """Bytes of `files` that are in a cache's folder of blobs, those of files that are not complete included."""
    here = 0
    for name, size in files.items():
        parts = [path.stat().st_size for path in blobs.glob(f"{name}*")]
        here += min(size, max(parts, default=0))
    return here
