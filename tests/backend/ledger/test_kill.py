"""kill -9 of the process that writes: at no moment is an answer lost that was committed, or there in part, or wrong.

SPARKLLM_KILLS=200 python -m pytest tests/backend/ledger/test_kill.py
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from sparkllm.backend.ledger.store import AnswerStore
from tests.backend.ledger.writer import key, text

KILLS = int(os.environ.get("SPARKLLM_KILLS", "20"))
MOST_SECONDS = 0.4
SEED = 8
MOST_UNSAID = 5000  # answers that a writer gives between two of its lines, about


def committed_when_killed(folder: Path, run: int, seconds: float) -> int:
    """How many answers a writer has said to be committed that was killed after so long."""
    command = [sys.executable, "-m", "tests.backend.ledger.writer", str(folder), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # it has begun
        time.sleep(seconds)
        process.kill()
        said = [line for line in (first + process.stdout.read()).splitlines(keepends=True) if line.endswith("\n")]
    return int(said[-1])


def test_no_answer_is_lost_torn_or_wrong_whenever_the_writer_is_killed(tmp_path: Path) -> None:
    chance, committed, beyond = random.Random(SEED), 0, 0
    folder = tmp_path / "ledger"  # one for all: each writer finds what a killed one has left
    for run in range(KILLS):
        said = committed_when_killed(folder, run, chance.uniform(0, MOST_SECONDS))
        store = AnswerStore(folder)
        found = store.recall([key(run, i) for i in range(said)])
        assert len(found) == said, f"run {run}: committed and lost"
        assert all(found[key(run, i)] == text(run, i) for i in range(said)), f"run {run}: a wrong or torn answer"
        later = store.recall([key(run, i) for i in range(said, said + MOST_UNSAID)])
        assert all(later.get(key(run, i), text(run, i)) == text(run, i) for i in range(said, said + MOST_UNSAID))
        beyond += len(later)
        committed += said
        store.close()
    print(f"{KILLS} kills: {committed:,} answers committed and there, {beyond:,} more that were not yet said to be")
    assert committed > 0
