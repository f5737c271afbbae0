"""Running sums over the steps of a policy."""

from __future__ import annotations

from dataclasses import dataclass

from sparkllm.spec.arrays import Ints

__all__ = ["Totals"]


@dataclass
class Totals:
    """Sums over all steps with decodes; `seconds` and `predicted` over all steps."""

    steps: int = 0
    without_drafts: int = 0
    decodes: int = 0
    drafted: int = 0
    accepted: int = 0
    rejected: int = 0
    seconds: float = 0.0
    predicted: float = 0.0

    def add(self, decodes: int, drafted: Ints, accepted: Ints, seconds: float, predicted: float) -> None:
        """One step: draft tokens verified and accepted of each of its `decodes` requests."""
        self.seconds += seconds
        self.predicted += predicted
        if decodes:
            self.steps += 1
            self.without_drafts += not drafted.any()
            self.decodes += decodes
            self.drafted += int(drafted.sum())
            self.accepted += int(accepted.sum())
            self.rejected += int((accepted < drafted).sum())

    def rested(self, decodes: int) -> None:
        """A step without drafts, of which only the number of its decodes is known."""
        self.steps += bool(decodes)
        self.without_drafts += bool(decodes)
        self.decodes += decodes

    def summary(self) -> dict[str, float]:
        """Means: draft length of a request and step, conditional acceptance, tokens of a request and step; ratios."""
        return {
            "steps": self.steps,
            "steps_without_drafts": self.without_drafts,
            "mean_length": self.drafted / max(1, self.decodes),
            "acceptance": self.accepted / max(1, self.accepted + self.rejected),
            "tokens_per_decode": (self.decodes + self.accepted) / max(1, self.decodes),
            "predicted_over_measured": self.predicted / self.seconds if self.seconds else 1.0,
        }
