"""Greedy answers of real engines with speculation are those without: the same tokens, in every situation."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.make_random_model import Shape, make_random_model
from sparkllm.backend.speculation import read_sums
from sparkllm.spec.trace import read_trace
from tests.spec import engine_run
from tests.spec.random_eagle import random_eagle

pytestmark = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


class Runs:
    """The job on each engine, once, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.of = functools.cache(self._of)

    def folder(self, drafter: str) -> Path:
        """Where its files are."""
        return self._folder / drafter.replace(":", "-").replace("/", "-")

    def _of(self, drafter: str) -> dict[str, Any]:
        folder = self.folder(drafter)
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.spec.engine_run", str(folder), drafter]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return dict(json.loads((folder / "result").read_text()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


def same(runs: Runs, drafter: str) -> dict[str, int]:
    """Compare with the engine that does not speculate; return the sums."""
    plain, found = runs.of("off"), runs.of(drafter)
    # Which requests are aborted, and when, depends on the steps; all others are compared.
    common = plain["tokens"].keys() & found["tokens"].keys()
    assert len(common) >= 200
    assert {i: found["tokens"][i] for i in common} == {i: plain["tokens"][i] for i in common}
    for situation in ("preemptions", "cached", "chunked", "aborted"):
        assert found[situation] > 0, f"the job has no {situation}"
    assert found["warnings"] == []
    sums = read_sums(runs.folder(drafter) / "sums")
    print(drafter, sums)
    assert sums["fallbacks"] == 0
    return sums


def test_answers_with_ngrams_are_the_same(runs: Runs) -> None:
    sums = same(runs, "ngram")
    assert sums["accepted"] > 100
    _, lines = read_trace(runs.folder("ngram") / "trace")
    assert len({k for line in lines for k, n in enumerate(line.lengths) if n}) > 3


def test_a_policy_that_fails_changes_no_answer(runs: Runs) -> None:
    plain, found = runs.of("off"), runs.of("broken")
    common = plain["tokens"].keys() & found["tokens"].keys()
    assert {i: found["tokens"][i] for i in common} == {i: plain["tokens"][i] for i in common}
    assert found["warnings"] == ["the choice of draft lengths failed; vLLM goes on without drafts"]
    sums = read_sums(runs.folder("broken") / "sums")
    assert sums["fallbacks"] == 1
    assert sums["drafted"] > 0


@pytest.mark.long
def test_answers_with_the_model_as_its_own_draft_are_the_same(runs: Runs) -> None:
    sums = same(runs, "draft:demo")
    assert sums["accepted"] > 1.5 * sums["rejected"] > 0  # an answer that a grammar holds is not the draft's


@pytest.mark.long
def test_answers_with_a_poor_draft_model_are_the_same(runs: Runs, tmp_path: Path) -> None:
    make_random_model(tmp_path / "draft", Shape.of(hidden=64, layers=1))
    sums = same(runs, f"draft:{tmp_path / 'draft'}")
    assert sums["rejected"] > 100


@pytest.mark.long
def test_answers_with_an_eagle_head_are_the_same(runs: Runs, tmp_path: Path) -> None:
    random_eagle(tmp_path / "head")
    assert same(runs, f"eagle:{tmp_path / 'head'}")["rejected"] > 50


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("arctic_inference") is None, reason="arctic-inference is not installed")
def test_answers_with_suffixes_are_the_same(runs: Runs) -> None:
    assert same(runs, "suffix")["accepted"] > 100


def test_the_job_is_diverse() -> None:
    texts = engine_run.prompts(4096)
    assert len({tuple(text) for text in texts}) == len(texts) >= 200
