"""A trace: one line of JSON for each engine step, behind one line that tells what was profiled at engine start."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from sparkllm.spec.policy import Drafter, DraftPolicy, PlannedStep
from sparkllm.spec.profile import Profile

__all__ = ["TraceHeader", "TraceLine", "TraceWriter", "read_trace"]


@dataclass(frozen=True)
class TraceHeader:
    """What all steps share: the longest draft, the drafter, the profile of the engine's start."""

    most: int
    drafter: Drafter
    profile: Profile


@dataclass(frozen=True)
class TraceLine:
    """One step.

    Attributes:
        batch, context_tokens, prefill_tokens, draft_length: as in `step_time.Step`.
        lengths: how many requests verified 0, 1, .. K draft tokens.
        drafted, accepted, rejected: draft tokens verified, accepted, and first rejections, over the batch.
        predicted, seconds: predicted and measured time.
        acceptance, match_rate: the fleet's estimates after the step.
        allowance: seconds that speculation may lose from here.
    """

    batch: int
    context_tokens: int
    prefill_tokens: int
    draft_length: int
    lengths: tuple[int, ...]
    drafted: int
    accepted: int
    rejected: int
    predicted: float
    seconds: float
    acceptance: float
    match_rate: float
    allowance: float

    @property
    def mean_length(self) -> float:
        """Mean draft length of a request."""
        return self.drafted / max(1, self.batch)

    @classmethod
    def of(
        cls, policy: DraftPolicy, step: PlannedStep, verified: Sequence[tuple[str, int, int]], seconds: float
    ) -> TraceLine:
        """A step that `policy` has just observed."""
        lengths = [0] * (policy.most + 1)
        for _, drafted, _ in verified:
            lengths[min(drafted, policy.most)] += 1
        return cls(
            batch=len(verified),
            context_tokens=step.context_tokens,
            prefill_tokens=step.prefill_tokens,
            draft_length=step.draft_length,
            lengths=tuple(lengths),
            drafted=sum(drafted for _, drafted, _ in verified),
            accepted=sum(accepted for _, _, accepted in verified),
            rejected=sum(accepted < drafted for _, drafted, accepted in verified),
            predicted=step.predicted,
            seconds=seconds,
            acceptance=policy.acceptance.mean,
            match_rate=policy.acceptance.match_rate if policy.matching else 1.0,
            allowance=policy.allowance.balance or 0.0,
        )


class TraceWriter:
    """Writes a trace; a line is in the file as soon as it is written: engines are killed, not closed."""

    def __init__(self, path: Path, header: TraceHeader) -> None:
        self._file: IO[str] = path.open("w", buffering=1, encoding="utf-8")
        self._write(asdict(header))

    def write(self, line: TraceLine) -> None:
        """Append one step."""
        self._write({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in asdict(line).items()})

    def close(self) -> None:
        """The trace is complete."""
        self._file.close()

    def _write(self, record: dict[str, object]) -> None:
        self._file.write(json.dumps(record, separators=(",", ":")) + "\n")


def read_trace(path: Path) -> tuple[TraceHeader, list[TraceLine]]:
    """A trace's header and steps; a last line cut short by the engine's end is left out."""
    lines = _records(path)
    try:
        header = next(lines)
        profile = Profile(*(tuple(map(tuple, header["profile"][name])) for name in ("target", "draft")))
        head = TraceHeader(header["most"], header["drafter"], profile)
    except (StopIteration, KeyError) as error:
        raise ValueError(f"expected a trace whose first line has the profile; found none in {path}") from error
    return head, [TraceLine(**{**line, "lengths": tuple(line["lengths"])}) for line in lines]


def _records(path: Path) -> Iterator[dict]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
