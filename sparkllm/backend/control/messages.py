"""What an engine server tells the driver of a query, and what it is told: plain JSON, never code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

from sparkllm.backend.control.budget import Budget
from sparkllm.backend.control.timeline import Point, Series

__all__ = ["REPORT", "Account", "Grant", "Holding", "Report", "read_grants", "write_grants"]

REPORT = "report"  # the one Flight action


class Holding(NamedTuple):
    """One engine's part of one limit, such as tokens.

    Attributes:
        used: spent for good since the engine began.
        reserved: what requests under way may still spend.
        granted: what it believes to have been granted; at least used + reserved. Less than before gives the rest back.
        need: with less than this on top it cannot go on; 0 where nothing waits.
        want: what it would like on top.
    """

    used: int = 0
    reserved: int = 0
    granted: int = 0
    need: int = 0
    want: int = 0


@dataclass(frozen=True)
class Account:
    """What an engine tells of one query.

    Attributes:
        counters: the engine's counters of the query, as sums.
        seconds: time with requests of the query, in seconds.
        open: whether there are such requests now.
        budget: the query's, where it has one.
        holdings: by the name of the limit.
        series: how many requests the engine had meanwhile.
        endpoint: it only passes them on to a server, whose time is not one's own.
    """

    counters: Mapping[str, int]
    seconds: float = 0.0
    open: bool = False
    budget: Budget | None = None
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    series: Series = field(default=Series(), compare=False)  # its age grows where nothing is new
    endpoint: bool = False


@dataclass(frozen=True)
class Grant:
    """What an engine is told of one query.

    Attributes:
        extra: granted on top, by the name of the limit.
        seconds: how long requests may go on from now; None: no limit.
        ended: why the budget is used up; empty while it is not.
        stop: requests under way are to be aborted, too.
    """

    extra: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None
    ended: str = ""
    stop: bool = False


@dataclass(frozen=True)
class Report:
    """All that one engine tells at a time; `number` grows, so that a late one is known as such."""

    engine: str
    number: int
    accounts: Mapping[str, Account]

    def to_json(self) -> bytes:
        """One JSON object, the inverse of `from_json`."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        accounts = {query: _account(account) for query, account in raw["accounts"].items()}
        return cls(raw["engine"], raw["number"], accounts)


def _account(raw: dict[str, Any]) -> Account:
    budget = Budget(**raw["budget"]) if raw["budget"] else None
    holdings = {name: Holding(*values) for name, values in raw["holdings"].items()}
    points = tuple(Point(*values) for values in raw["series"]["points"])
    series = Series(raw["series"]["age"], raw["series"]["period"], points)
    return Account(raw["counters"], raw["seconds"], raw["open"], budget, holdings, series, raw["endpoint"])


def write_grants(grants: Mapping[str, Grant]) -> bytes:
    """By query, as one JSON object."""
    return json.dumps({query: asdict(grant) for query, grant in grants.items()}).encode()


def read_grants(text: str | bytes) -> dict[str, Grant]:
    """Read what `write_grants` wrote."""
    return {query: Grant(**raw) for query, raw in json.loads(text).items()}
