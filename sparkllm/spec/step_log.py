"""What a driver's policy did, for whoever asks: sums in a small file, and a trace if one is wanted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from sparkllm.spec.driver_options import DriverOptions
from sparkllm.spec.policy import DraftPolicy, PlannedStep
from sparkllm.spec.profile import Profile
from sparkllm.spec.summary_file import SummaryFile
from sparkllm.spec.totals import Totals
from sparkllm.spec.trace import TraceHeader, TraceLine, TraceWriter

__all__ = ["StepLog"]

_FLUSH_SECONDS = 0.2


class StepLog:
    """Writes both; each may be missing."""

    def __init__(self, options: DriverOptions) -> None:
        self._options = options
        self._summary = SummaryFile(Path(options.summary)) if options.summary else None
        self._trace: TraceWriter | None = None
        self._written, self._steps = 0.0, -1
        self._profiled = 0
        self.flush(Totals(), at_once=True)  # from here on a reader knows that there is a policy

    def start(self, most: int, profile: Profile) -> None:
        """The policy begins, with this profile."""
        self._profiled = len(profile.target)
        if self._options.trace:
            self._trace = TraceWriter(Path(self._options.trace), TraceHeader(most, self._options.drafter, profile))

    def step(
        self, policy: DraftPolicy, step: PlannedStep, verified: Sequence[tuple[str, int, int]], seconds: float
    ) -> None:
        """A step that `policy` has just observed."""
        if self._trace is not None:
            self._trace.write(TraceLine.of(policy, step, verified, seconds))

    def flush(self, totals: Totals, at_once: bool) -> None:
        """Write the sums, if there is something new and, unless `at_once`, the last ones are not too fresh."""
        now = time.monotonic()
        due = at_once or now - self._written > _FLUSH_SECONDS
        if self._summary is None or totals.steps == self._steps or not due:
            return
        self._written, self._steps = now, totals.steps
        self._summary.write(self._sums(totals, fallbacks=0))

    def fell_back(self, totals: Totals) -> None:
        """The driver is given up."""
        if self._summary is not None:
            self._summary.write(self._sums(totals, fallbacks=1))

    def _sums(self, totals: Totals, fallbacks: int) -> dict[str, int]:
        counts = {name: value for name, value in vars(totals).items() if isinstance(value, int)}
        times = {f"{name}_us": round(1e6 * getattr(totals, name)) for name in ("seconds", "predicted")}
        return {**counts, **times, "fallbacks": fallbacks, "profiled": self._profiled}
