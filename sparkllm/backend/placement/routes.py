"""Which rows go to which kind of replica, as conditions over a row's fields, for jobs that run beside each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkllm.backend.placement.placement import Plan

__all__ = ["Route", "routes"]

_PARTS = 10_000  # into which a hash cuts a bucket that several kinds share


@dataclass(frozen=True)
class Route:
    """Rows of one call.

    Attributes:
        call: the `llm(...)` they belong to.
        above, most: bytes of their fields, above < bytes <= most.
        first, end: of `_PARTS` parts that a hash of their fields puts them into, first <= part < end.
    """

    call: str
    above: float
    most: float
    first: int = 0
    end: int = _PARTS

    @property
    def condition(self) -> str:
        """In SQL. `bytes` stands for the sum of coalesce(octet_length(field), 0), `fields` for the call's fields.

        >>> Route("", 64, 512, 0, 2500).condition
        'bytes > 64 AND bytes <= 512 AND pmod(xxhash64(fields), 10000) < 2500'
        >>> Route("", -1, inf).condition
        'true'
        """
        part = f"pmod(xxhash64(fields), {_PARTS})"
        parts = [f"bytes > {self.above:.0f}"] if self.above >= 0 else []
        parts += [f"bytes <= {self.most:.0f}"] if self.most < inf else []
        parts += [f"{part} >= {self.first}"] if self.first else []
        parts += [f"{part} < {self.end}"] if self.end < _PARTS else []
        return " AND ".join(parts) or "true"


def routes(plan: Plan) -> dict[str, tuple[Route, ...]]:
    """For each kind of replica that is used; together they take every row once.

    Equal rows go to one kind, as they have equal bytes and one hash. Buckets side by side become one route.
    """
    found: dict[str, list[Route]] = {name: [] for name in plan.replicas}
    call, above = None, -1.0
    for bucket, shares in zip(plan.workload.buckets, plan.routing, strict=True):
        above = above if bucket.call == call else -1.0
        call, first = bucket.call, 0
        names = [name for name in shares if name in found]
        given = 0.0
        for name in names:
            given += shares[name]
            end = _PARTS if name == names[-1] else round(given * _PARTS)
            if end > first:
                _add(found[name], Route(bucket.call, above, bucket.most_bytes, first, end))
            first = end
        above = bucket.most_bytes
    return {name: tuple(parts) for name, parts in found.items()}


def _add(parts: list[Route], new: Route) -> None:
    last = parts[-1] if parts else None
    if last and (last.call, last.most, last.first, last.end) == (new.call, new.above, new.first, new.end):
        parts[-1] = replace(last, most=new.most)
    else:
        parts.append(new)
