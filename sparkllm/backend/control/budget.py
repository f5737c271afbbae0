"""What a query may spend, and where its engines lease it: records that travel from the plan to the engine servers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError

__all__ = ["Budget", "ControlAddress", "Terms"]

_SETTINGS = {"calls": "maxCalls", "tokens": "maxTotalTokens", "seconds": "maxSeconds", "cost": "maxCost"}


@dataclass(frozen=True)
class Budget:
    """Limits of one query over all its engines; 0 is none.

    Attributes:
        calls: requests to an engine.
        tokens: that engines compute: prompt tokens that are not in the KV cache, and output tokens.
        seconds: since its first prompt came to an engine; an engine's start does not count.
        cost: price of the time in which engines have requests of the query, in the unit of `cost_per_hour`.
        cost_per_hour: of one engine, with all its GPUs.
    """

    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    cost_per_hour: float = 0.0

    @classmethod
    def of(cls, config: LLMConfig) -> Self | None:
        """What the settings ask for; None where they limit nothing.

        Raises:
            ConfigError: a limit of cost without a price.
        """
        if config.max_cost and not config.cost_per_hour:
            raise ConfigError(
                f"spark.sparkllm.maxCost={config.max_cost:g} takes the price of an engine's hour beside it, found "
                f"none: set spark.sparkllm.costPerHour"
            )
        limits = (config.max_calls, config.max_total_tokens, config.max_seconds, config.max_cost)
        return cls(*limits, config.cost_per_hour) if any(limits) else None

    @property
    def counted(self) -> dict[str, int]:
        """The limits that engines lease pieces of, by name; time is not: it passes by itself."""
        return {name: limit for name, limit in (("calls", self.calls), ("tokens", self.tokens)) if limit}

    @staticmethod
    def setting(name: str) -> str:
        """The Spark key of a limit."""
        return f"spark.sparkllm.{_SETTINGS[name]}"


@dataclass(frozen=True)
class ControlAddress:
    """Where the driver's service listens, and the token it asks for; the token is in no `repr`."""

    location: str
    token: str = field(repr=False)

    @property
    def local(self) -> bool:
        """Whether the driver serves its own machine alone, as in local mode."""
        return "//127.0.0.1:" in self.location


@dataclass(frozen=True)
class Terms:
    """On what terms an engine serves a query: whom it reports to, and the query's budget."""

    address: ControlAddress
    budget: Budget | None = None

    @property
    def unlimited(self) -> Terms:
        """The same without a budget."""
        return replace(self, budget=None)

    def to_json(self) -> str:
        """One JSON object, the inverse of `from_json`; it holds the token, so it belongs on the private socket only."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        raw: dict[str, Any] = json.loads(text)
        return cls(ControlAddress(**raw["address"]), Budget(**raw["budget"]) if raw["budget"] else None)
