"""Running sums over the steps of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    def add(self, verified: Sequence[tuple[str, int, int]], seconds: float, predicted: float) -> None:
        """One step: (request id, draft tokens verified, accepted) of each request that decoded."""
        self.seconds += seconds
        self.predicted += predicted
        if verified:
            drafted = sum(k for _, k, _ in verified)
            self.steps += 1
            self.without_drafts += not drafted
            self.decodes += len(verified)
            self.drafted += drafted
            self.accepted += sum(accepted for _, _, accepted in verified)
            self.rejected += sum(accepted < k for _, k, accepted in verified)

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
