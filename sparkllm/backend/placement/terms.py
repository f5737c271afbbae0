"""What a placement has to keep to."""

from __future__ import annotations

from dataclasses import dataclass

from sparkllm.backend.placement.problem import HELD, RELEASED
from sparkllm.errors import ConfigError

__all__ = ["COST", "TIME", "Terms"]

COST, TIME = "cost", "time"


@dataclass(frozen=True)
class Terms:
    """Objective and limits, checked.

    Attributes:
        objective: `cost`: the cheapest placement that meets the deadline; `time`: the fastest that meets the budget.
        deadline: seconds from now, starts of replicas included; None for none.
        budget: US dollars; None for none.
        billing: `released`: a replica is paid until it is done; `held`: all are paid until the deadline.
        bounded: the GPUs are limited in number.
    """

    objective: str = COST
    deadline: float | None = None
    budget: float | None = None
    billing: str = RELEASED
    bounded: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (
            ("objective", self.objective, (COST, TIME)),
            ("billing", self.billing, (RELEASED, HELD)),
        ):
            if value not in known:
                raise ConfigError(f"{name} takes {' or '.join(known)}, got {value!r}")
        for name, limit in (("deadline", self.deadline), ("budget", self.budget)):
            if limit is not None and not 0 < limit < float("inf"):
                raise ConfigError(f"{name} takes a number above 0 or None, got {limit!r}")
        if self.billing == HELD and (self.deadline is None or self.objective == TIME):
            raise ConfigError("billing='held' pays until the deadline: it takes objective='cost' and a deadline")
        if self.objective == TIME and self.budget is None and not self.bounded:
            raise ConfigError("objective='time' without limit ends at any number of GPUs: give a budget or `available`")

    @property
    def hours(self) -> float | None:
        """The deadline."""
        return None if self.deadline is None else self.deadline / 3600
