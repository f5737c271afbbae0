"""What a query has cost: the tokens of endpoints by their prices, and the time of engines by that of an hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkllm.backend.endpoint.prices import price_of
from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.config import LLMConfig

if TYPE_CHECKING:
    from sparkllm.call_report import CallReport

__all__ = ["Cost", "cost_lines", "cost_of"]

_HOUR = 3600.0


@dataclass(frozen=True)
class Cost:
    """Of one query, by the prices that are set now.

    Attributes:
        usd: of the tokens of endpoint models with a price, in dollars; None where there are none.
        prices: those prices, one line each.
        unpriced: endpoint models without one.
        engine_seconds: time in which engines of one's own had requests of it, together.
        engines: of that time by `cost_per_hour`, in its currency; None where that is not set, or none was told of.
    """

    usd: float | None
    prices: tuple[str, ...]
    unpriced: tuple[str, ...]
    engine_seconds: float
    engines: float | None


def cost_of(calls: Sequence[CallReport], config: LLMConfig, engine_seconds: float) -> Cost:
    """What the rows of these calls have used; requests of failed attempts are not among them.

    Engines that only pass requests on to an endpoint are not priced by the hour.

    Raises:
        ConfigError: the setting `endpoint_prices` cannot be read.
    """
    models = dict.fromkeys(call.model for call in calls if is_endpoint(call.model))
    prices = {model: price_of(model, config) for model in models}
    paid = [
        price.usd(call.prompt_tokens, call.cached_tokens, call.output_tokens)
        for call in calls
        if (price := prices.get(call.model)) is not None
    ]
    own = config.cost_per_hour and engine_seconds and any(not is_endpoint(call.model) for call in calls)
    return Cost(
        usd=sum(paid) if paid else None,
        prices=tuple(f"{model}: {price}" for model, price in prices.items() if price is not None),
        unpriced=tuple(model for model, price in prices.items() if price is None),
        engine_seconds=engine_seconds,
        engines=engine_seconds / _HOUR * config.cost_per_hour if own else None,
    )


def cost_lines(cost: Cost) -> list[tuple[str, str]]:
    """For the report.

    >>> cost_lines(Cost(0.0123, ("openai:m: $ 1 input",), (), 7.2, 0.004))
    [('cost', '$0.0123'), ('  by the price of', 'openai:m: $ 1 input'), ('cost', '0.004 by costPerHour, for 7.2 s')]
    """
    lines = [] if cost.usd is None else [("cost", f"${cost.usd:,.3g}" if cost.usd < 1 else f"${cost.usd:,.2f}")]
    lines += [("  by the price of", line) for line in cost.prices]
    lines += [("  no price of", f"{model}: set spark.sparkllm.endpointPrices") for model in cost.unpriced]
    if cost.engines is not None:
        shown = f"{cost.engines:,.3g}" if cost.engines < 1 else f"{cost.engines:,.2f}"
        lines.append(("cost", f"{shown} by costPerHour, for {cost.engine_seconds:,.1f} s"))
    return lines
