"""A recorded trace as work to be done again, perhaps in fewer steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparkllm.spec.arrays import Floats
from sparkllm.spec.trace import TraceLine
from sparkllm.spec.workload import Request

__all__ = ["Recorded"]

_AROUND = 25  # lines before and behind whose verified drafts tell a line's acceptance
_ENDLESS = 2**62  # no request ends: the work does


class Recorded:
    """The trace's work, found by the tokens decoded so far: batch, context, acceptance and match rate of that moment.

    A trace knows no single requests, so all of a moment are alike; one that differs in every step is smoothed.
    """

    def __init__(self, lines: Sequence[TraceLine]) -> None:
        self._lines = [line for line in lines if line.batch]
        if not self._lines:
            raise ValueError("expected a trace with steps that decode; found none; record a run with some answers")
        # Prompt tokens are computed whether or not something decodes beside them.
        self._prompts = np.cumsum([0, *(line.prefill_tokens for line in self._lines)])
        self._prompts[1:] += sum(line.prefill_tokens for line in lines if not line.batch)
        self._ends = np.cumsum([line.batch + line.accepted for line in self._lines])
        self._acceptance = _smoothed(self._lines)
        self._done, self._read = 0, 0
        self.requests: dict[str, Request] = {}

    def admit(self) -> tuple[list[Request], int]:
        """The requests at this point of the work, and the prompt tokens of all steps since the last one."""
        at = int(np.searchsorted(self._ends, self._done, side="right"))
        if at == len(self._lines):
            return [], 0
        line, acceptance = self._lines[at], float(self._acceptance[at])
        context = line.context_tokens // line.batch
        requests = [Request(f"slot-{i}", context, _ENDLESS, acceptance, line.match_rate) for i in range(line.batch)]
        self.requests.clear()  # the same object: an oracle holds it
        self.requests.update((r.name, r) for r in requests)
        prefill, self._read = int(self._prompts[at + 1] - self._prompts[self._read]), at + 1
        return requests, prefill

    def emit(self, request: Request, tokens: int) -> bool:
        """So many tokens of the work are done."""
        self._done += tokens
        return False


def _smoothed(lines: Sequence[TraceLine]) -> Floats:
    """Acceptance around each line; where nothing was verified, the whole trace's."""
    counts = np.array([[0, 0], *([line.accepted, line.rejected] for line in lines)]).cumsum(axis=0)
    first = np.maximum(0, np.arange(len(lines)) - _AROUND)
    last = np.minimum(len(lines), np.arange(len(lines)) + _AROUND + 1)
    good, bad = (counts[last] - counts[first]).T
    if not counts[-1].any():
        raise ValueError("expected a trace with verified drafts; found none; record a run with drafts now and then")
    whole = counts[-1, 0] / counts[-1].sum()
    return np.where(good + bad > 0, good / np.maximum(1, good + bad), whole)
