"""A process that writes answers until it is killed, and says what is committed.

python -m tests.backend.ledger.writer FOLDER RUN
"""

from __future__ import annotations

import random
import sys
import time
from hashlib import blake2b

from sparkllm.backend.ledger.ledger import Ledger
from sparkllm.backend.ledger.settings import LedgerSettings

__all__ = ["key", "text"]


def key(run: int, i: int) -> bytes:
    return blake2b(f"{run} {i}".encode(), digest_size=16).digest()


def text(run: int, i: int) -> str:
    """A text that tells whether it is whole, and whose; now and then of many pages."""
    word = blake2b(f"text {run} {i}".encode(), digest_size=8).hexdigest()
    return word * (2000 if i % 50 == 0 else 1 + i % 40)


def main(folder: str, run: int) -> None:
    ledger = Ledger(LedgerSettings(folder, max_bytes=10**9), "m")
    chance = random.Random(run)
    ends = time.monotonic() + 60  # should nobody kill it
    i = 0
    while time.monotonic() < ends:
        for _ in range(chance.randint(1, 200)):
            ledger.keep(key(run, i), text(run, i), "0")
            i += 1
        if chance.random() < 0.5:  # else more comes while the last is being written
            ledger.flush(10.0)
            print(i, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
