"""From what the user calls a model to a folder or hub id, and to a fingerprint that changes with its files."""

from __future__ import annotations

import hashlib
import os
from importlib import resources
from pathlib import Path

from sparkllm.errors import EngineStartError

__all__ = ["fingerprint", "resolve"]

DEMO = "demo"


def resolve(model: str, setting: str = "spark.sparkllm.model") -> str:
    """The absolute folder of a local model, or `model` itself for a Hugging Face id; `setting` names it in an error.

    Raises:
        EngineStartError: it looks like a path and is no folder with a config.json.
    """
    if model == DEMO:
        return _local(Path(str(resources.files("sparkllm").joinpath("demo", "model"))), model, setting)
    path = Path(model).expanduser()
    # A hub id may be shadowed by a folder of that name in the working folder; only one with a config.json is meant.
    if (path / "config.json").is_file() or _looks_like_path(model):
        return _local(path, model, setting)
    return model


def _looks_like_path(model: str) -> bool:
    return model.startswith(("/", ".", "~")) or model.count("/") > 1 or model.endswith("/") or not model.strip()


def _local(path: Path, model: str, setting: str) -> str:
    if (path / "config.json").is_file():
        return str(path.resolve())
    found = "a folder without config.json" if path.is_dir() else "a file" if path.exists() else "nothing"
    raise EngineStartError(
        f"{setting}={model!r}: expected a folder with a model (config.json, weights, tokenizer) "
        f"on the host of the executor {os.uname().nodename!r}, found {found} at {path}. "
        f"Correct the path, or give a Hugging Face id such as 'Qwen/Qwen3-0.6B'"
    )


def fingerprint(resolved: str) -> str:
    """12 hexadecimal digits: config.json's content and every file's name, size and time; of the id, for a hub model."""
    digest = hashlib.sha256(resolved.encode())
    folder = Path(resolved)
    if folder.is_absolute():
        digest.update((folder / "config.json").read_bytes())
        for path in sorted(folder.iterdir()):
            stat = path.stat()
            digest.update(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
