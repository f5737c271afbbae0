"""Steps of one shape in a row, learnt from at once: by the median of what they took beside what was predicted.

While a choice of draft lengths stands, steps differ by some context tokens alone. Learning from each would cost as much
as choosing; their median is worth more than any one of them.
"""

from __future__ import annotations

from statistics import median

from sparkllm.spec.step_time import Step, StepTime

__all__ = ["AlikeSteps"]


class AlikeSteps:
    """Measured steps on their way to `step_time`."""

    def __init__(self, step_time: StepTime) -> None:
        self._step_time = step_time
        self._step, self._shape = Step(0), (0, 0, 0)
        self._ratios: list[float] = []

    def add(self, step: Step, seconds: float, predicted: float) -> None:
        """A measured step, and what it was predicted to take."""
        shape = (step.batch, step.draft_tokens, step.draft_length)
        if shape != self._shape or step.prefill_tokens or self._step.prefill_tokens:
            self.learn()
        self._step, self._shape = step, shape
        self._ratios.append(seconds / predicted if predicted > 0 else 0.0)

    def learn(self) -> None:
        """Learn from those that were added since the last time."""
        if self._ratios:
            seconds = median(self._ratios) * self._step_time.seconds(self._step)
            self._step_time.observe(self._step, seconds, len(self._ratios))
            self._ratios.clear()
