"""Which ledger a query uses: a folder of this host, perhaps a shared path, how much and for how long."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from sparkllm.backend.folder import root_for
from sparkllm.backend.ledger.disk import network_file_system
from sparkllm.config import LLMConfig

__all__ = ["LedgerSettings", "ledger_folder"]

OFF, ON = "off", "on"


@dataclass(frozen=True)
class LedgerSettings:
    """One ledger. They travel with each request and are no part of an engine: to switch the ledger off starts none.

    Attributes:
        folder: absolute path of the folder on this host.
        shared_path: folder or URI that other clusters read and write, too; empty where there is none.
        max_bytes: size of the answers on this host above which the oldest are dropped.
        days: age in days from which an answer is asked for again; 0: never.
    """

    folder: str
    shared_path: str = ""
    max_bytes: int = LLMConfig.ledger_max_bytes
    days: float = LLMConfig.ledger_days

    @classmethod
    def of(cls, config: LLMConfig) -> Self | None:
        """The ledger of `config`; None where it is off, or where answers are sampled: each of those is one of many."""
        if config.ledger == OFF or config.temperature > 0:
            return None
        return cls(str(ledger_folder(config)), config.ledger_shared_path, config.ledger_max_bytes, config.ledger_days)

    def to_json(self) -> str:
        """One JSON object, the inverse of `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def ledger_folder(config: LLMConfig) -> Path:
    """The setting's folder; for `on`, one beside the engines' where their folder is set, else in the user's cache.

    Not in the temporary folder, where engines are by default: that is emptied when a machine starts again. But rather
    there than in a home that hosts share.
    """
    if config.ledger not in (ON, OFF):
        return Path(config.ledger).expanduser()
    if config.runtime_dir:
        return root_for(config.runtime_dir) / "ledger"
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home folder
        return root_for("") / "ledger"
    # Spark's containers often run as a user whose home cannot be written.
    near = next(folder for folder in (cache, *cache.parents) if folder.exists())
    local = os.access(near, os.W_OK) and not network_file_system(near)
    return cache / "sparkllm" / "ledger" if local else root_for("") / "ledger"
