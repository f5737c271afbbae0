"""Jobs decoded under every choice of draft lengths: a drain, a trace, and the table that is printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparkllm.spec.choosers import ByBatch, Fixed
from sparkllm.spec.policy import Drafter, DraftPolicy
from sparkllm.spec.recorded import Recorded
from sparkllm.spec.replay import main, replay, table
from sparkllm.spec.step_time import StepTime
from sparkllm.spec.trace import TraceHeader, TraceLine, TraceWriter, read_trace
from sparkllm.spec.workload import Outcome, Queue, Request, run
from tests.spec.two_cores import Steady, measured_profile, profile


def a_drain(acceptance: float, requests: int = 256, most: int = 64, seed: int = 3) -> Queue:
    """Answers of 60 tokens in the mean, geometric; the last ones decode alone."""
    lengths = np.random.default_rng(seed).geometric(1 / 60, requests)
    return Queue([Request(f"q{i}", 0, int(n), acceptance) for i, n in enumerate(lengths)], most)


def drained(acceptance: float, drafter: Drafter) -> dict[str, Outcome]:
    return replay(lambda: a_drain(acceptance), measured_profile(drafter), profile(drafter), drafter, 8, noise=0.03)


@pytest.mark.parametrize("drafter", ["ngram", "model"])
@pytest.mark.parametrize("acceptance", [0.6, 0.8])
def test_a_draining_job_beats_every_fixed_length(drafter: Drafter, acceptance: float) -> None:
    outcomes = drained(acceptance, drafter)
    best = max(o.goodput for name, o in outcomes.items() if name.startswith("fixed"))
    assert outcomes["policy"].goodput >= 1.03 * best
    assert outcomes["policy"].goodput >= 0.93 * outcomes["oracle"].goodput
    assert len({o.tokens for o in outcomes.values()}) == 1


def test_a_drain_with_drafts_that_are_rejected_is_no_slower() -> None:
    outcomes = drained(0.02, "model")
    assert outcomes["policy"].goodput >= 0.98 * outcomes["fixed 0"].goodput


def test_a_table_made_for_another_acceptance_is_beaten() -> None:
    outcomes = drained(0.3, "ngram")
    assert outcomes["policy"].goodput > 1.02 * outcomes["by batch"].goodput


def test_the_table_by_batch_is_the_best_of_the_measured_lengths() -> None:
    by_batch = ByBatch(8, StepTime(profile("ngram")), 0.6)
    lengths = []
    for batch in (1, 4, 16, 64):
        by_batch.choose([("r", 0, 8)] * batch)
        lengths.append(by_batch.next_length)
    assert lengths == [3, 2, 1, 0]


def test_prompts_are_computed_in_the_step_in_which_a_request_begins() -> None:
    queue = Queue([Request("a", 100, 2, 0.5), Request("b", 30, 2, 0.5)], 1)
    assert [r.name for r in queue.admit()[0]] == ["a"]
    assert queue.emit(queue.requests["a"], 2)
    assert [r.name for r in queue.admit()[0]] == ["b"]
    both = Queue([Request("a", 100, 9, 0.5), Request("b", 30, 9, 0.5)], 2)
    assert len(both.admit()[0]) == 2


def a_trace(path: Path, batch: int = 4, acceptance: float = 0.8, steps: int = 200) -> list[TraceLine]:
    """A policy's own trace of a steady batch."""
    truth, lines = StepTime(profile("ngram")), []
    policy = DraftPolicy(8, StepTime(profile("ngram")), "ngram")
    writer = TraceWriter(path, TraceHeader(8, "ngram", profile("ngram")))

    class Traced(Fixed):
        """The policy, with every step written down."""

        def choose(self, decodes, prefill_tokens=0):  # type: ignore[no-untyped-def]
            lengths = policy.choose(decodes, prefill_tokens)
            self.step, self.next_length = policy.step, policy.next_length  # type: ignore[assignment]
            return lengths

        def observe(self, verified, seconds, step=None):  # type: ignore[no-untyped-def]
            policy.observe(verified, seconds, step)
            lines.append(TraceLine.of(policy, step, verified, seconds))
            writer.write(lines[-1])

    run(Steady(batch, acceptance, steps), Traced(8), truth, "ngram", 0, 0.05)
    writer.close()
    return lines


def test_a_trace_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = a_trace(tmp_path / "t.jsonl", steps=50)
    header, read = read_trace(tmp_path / "t.jsonl")
    assert header == TraceHeader(8, "ngram", profile("ngram"))
    assert len(read) == 50
    for one, two in zip(lines, read, strict=True):
        assert one.lengths == two.lengths
        assert one.seconds == pytest.approx(two.seconds, rel=1e-5)
        assert sum(one.lengths) == one.batch == 4
        assert sum(k * n for k, n in enumerate(one.lengths)) == one.drafted >= one.accepted


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    a_trace(path, steps=10)
    path.write_text(path.read_text()[:-20])
    assert len(read_trace(path)[1]) == 9


def test_a_file_that_is_no_trace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"batch": 3}) + "\n")
    with pytest.raises(ValueError, match="first line has the profile"):
        read_trace(tmp_path / "t.jsonl")


def test_a_replayed_trace_tells_what_no_speculation_would_have_taken(tmp_path: Path) -> None:
    lines = a_trace(tmp_path / "t.jsonl")
    _, read = read_trace(tmp_path / "t.jsonl")
    outcomes = replay(lambda: Recorded(read), profile("ngram"), profile("ngram"), "ngram", 8)
    tokens = sum(line.batch + line.accepted for line in lines)
    assert outcomes["fixed 0"].seconds == pytest.approx(tokens / 4 * 0.040, rel=0.02)
    assert outcomes["policy"].seconds == pytest.approx(sum(line.seconds for line in lines), rel=0.06)
    assert outcomes["fixed 4"].goodput > 1.6 * outcomes["fixed 0"].goodput


def test_a_trace_without_verified_drafts_tells_nothing(tmp_path: Path) -> None:
    lines = [line for line in a_trace(tmp_path / "t.jsonl", acceptance=0.0) if not line.drafted]
    with pytest.raises(ValueError, match="verified drafts"):
        Recorded(lines)


def test_the_command_prints_a_row_for_each_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_trace(tmp_path / "t.jsonl", steps=50)
    main([str(tmp_path / "t.jsonl")])
    rows = [line[:14].strip() for line in capsys.readouterr().out.splitlines()]
    assert rows == ["draft length", *(f"fixed {k}" for k in (0, 1, 2, 4, 8)), "by batch", "policy", "oracle"]


def test_the_table_counts_gains_from_no_speculation() -> None:
    text = table({"fixed 0": Outcome(4, 4, 4.0, 2.0, 0.0), "policy": Outcome(2, 4, 4.0, 1.0, 1.0)})
    assert text.splitlines()[-1].split() == ["policy", "1.00", "2", "1.00", "4.0", "2.000"]
