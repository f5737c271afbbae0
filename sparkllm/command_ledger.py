"""`sparkllm ledger stats | clear`: what answers are kept on this host, and how to forget them."""

from __future__ import annotations

import argparse
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from sparkllm.config import LLMConfig
from sparkllm.errors import LedgerError

__all__ = ["add_ledger"]

_EPILOG = """\
Reads and clears the ledger of this host alone; files on spark.sparkllm.ledgerSharedPath are yours to remove. Engines
may be at work meanwhile.
"""


def add_ledger(commands: Any) -> None:
    """The command, what it does and its options."""
    parser = commands.add_parser(
        "ledger",
        help="the answers that are kept on this host",
        description="Answers are kept by default and never paid for again; spark.sparkllm.ledger=off keeps none.",
        epilog=_EPILOG,
    )
    parser.add_argument("do", choices=["stats", "clear"], help="what there is, or forget all of it")
    parser.add_argument("--folder", type=Path, help="the setting spark.sparkllm.ledger, where it names a folder")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from sparkllm.backend.ledger.settings import ledger_folder

    folder = args.folder or ledger_folder(LLMConfig())
    print("\n".join(stats(folder) if args.do == "stats" else clear(folder)))
    return 0


def stats(folder: Path) -> list[str]:
    """How many answers a ledger holds, of which time and size, one line each.

    Raises:
        LedgerError: the file is broken.
    """
    from sparkllm.backend.ledger.store import AnswerStore, files_of, other_formats, path_in

    path, lines = path_in(folder), [f"ledger   {folder}"]
    if not path.exists():
        return [*lines, "answers  none", *_set_aside(other_formats(folder))]
    store = AnswerStore(folder)
    try:
        count, oldest, latest = store.summary()
    except sqlite3.Error as error:
        raise LedgerError(f"expected a ledger of answers at {path}, found: {error}; `sparkllm ledger clear`") from error
    finally:
        store.close()
    size = sum(file.stat().st_size for file in files_of(path))
    lines += [f"answers  {count:,}"]
    if oldest is not None and latest is not None:
        lines += [f"from     {_day(oldest)} to {_day(latest)}"]
    return [*lines, f"on disk  {size:,} bytes", *_set_aside(other_formats(folder))]


def clear(folder: Path) -> list[str]:
    """Forget all answers, those of other formats and of a broken file included; says how many there were."""
    from sparkllm.backend.ledger.store import AnswerStore, files_of, other_formats, path_in

    path, lines = path_in(folder), []
    for other in other_formats(folder):
        lines.append(f"removed {other.name}, of another version of sparkllm")
        _remove(files_of(other))
    if not path.exists():
        return [*lines, f"no answers in {folder}"]
    try:
        store = AnswerStore(folder)
        count = store.summary()[0]
        store.clear()
        store.close()
    except (LedgerError, sqlite3.DatabaseError) as error:
        if not _is_broken(error):
            raise LedgerError(f"expected to clear {path}, found: {error}; nothing was removed, try again") from error
        _remove(files_of(path))
        return [*lines, f"removed {path}, which was broken"]
    return [*lines, f"removed {count:,} answers from {folder}"]


def _is_broken(error: Exception) -> bool:
    """The file itself, and not that it is in use or its disk is full."""
    cause = error.__cause__ or error
    return isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError)


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _set_aside(others: list[Path]) -> list[str]:
    return [f"aside    {path.name}, of another version of sparkllm" for path in others]


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
