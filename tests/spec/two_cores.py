"""Simulated steps of two CPU cores: a 367 M-parameter target with a 4.4 M draft model, measured medians."""

from __future__ import annotations

import numpy as np

from sparkllm.spec.goodput import expected_tokens
from sparkllm.spec.policy import Drafter
from sparkllm.spec.profile import Profile
from sparkllm.spec.step_time import Step, StepTime
from sparkllm.spec.workload import Request

# batch -> draft length -> milliseconds
MEASURED = {
    1: {0: 33, 1: 35, 2: 39, 4: 44, 8: 55},
    4: {0: 40, 1: 47, 2: 55, 4: 71, 8: 103},
    16: {0: 65, 1: 92, 2: 123, 4: 180, 8: 300},
    64: {0: 157, 1: 281, 2: 403, 4: 643, 8: 1116},
}
TARGET = tuple((batch * (k + 1), 0, ms / 1000) for batch, row in MEASURED.items() for k, ms in row.items())
# A draft model's forward passes, one even where nothing is asked of it: it keeps its KV cache in step.
DRAFT = tuple((batch, k, 0.0007 * max(1, k) * (1 + batch / 64)) for batch in (1, 64) for k in (0, 1, 8))


def profile(drafter: Drafter) -> Profile:
    """The truth; the drafter of n-grams costs nothing."""
    return Profile(TARGET, DRAFT if drafter == "model" else ())


def measured_profile(drafter: Drafter, noise: float = 0.03) -> Profile:
    """What a profiling at engine start might find: each point three times, with noise."""
    rng = np.random.default_rng(0)
    points = [(n, c, s * float(np.exp(rng.normal(0, noise)))) for n, c, s in TARGET for _ in range(3)]
    return Profile(points, profile(drafter).draft)


def goodputs(batch: int, acceptance: float, drafter: Drafter, most: int = 8) -> list[float]:
    """Expected tokens a second of the fixed draft lengths 0, 1, .. `most`."""
    truth = StepTime(profile(drafter))
    steps = [Step(batch, batch * k, draft_length=k) for k in range(most + 1)]
    return [batch * float(expected_tokens(acceptance, s.draft_length)) / truth.seconds(s) for s in steps]


class Steady:
    """A batch that never changes, for a number of steps."""

    def __init__(self, batch: int, acceptance: float, steps: int, match: float = 1.0) -> None:
        self.all = [Request(f"r{i}", 0, 2**62, acceptance, match) for i in range(batch)]
        self.requests = {r.name: r for r in self.all}
        self.steps = steps

    def admit(self) -> tuple[list[Request], int]:
        """The same requests, until the last step."""
        self.steps -= 1
        return (self.all, 0) if self.steps >= 0 else ([], 0)

    def emit(self, request: Request, tokens: int) -> bool:
        """None ends."""
        return False

    def go_on(self, steps: int, acceptance: float | None = None) -> Steady:
        """The same batch for further steps, with another acceptance."""
        self.steps = steps
        for request in self.all:
            request.acceptance = request.acceptance if acceptance is None else acceptance
        return self
