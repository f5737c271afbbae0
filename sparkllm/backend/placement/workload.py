"""The work: rows by how long their prompts and answers are."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from sparkllm.errors import ConfigError

__all__ = ["Bucket", "Workload"]


@dataclass(frozen=True)
class Bucket:
    """Rows of about the same size.

    Attributes:
        input_tokens: of one prompt, mean.
        output_tokens: of one answer, mean.
        rows: how many; need not be whole.
        prefix_hits: share of the input that the prefix cache is expected to serve, from 0 to below 1, as the
            last token of a prompt is always computed.
        call: the `llm(...)` that the rows belong to, as the user wrote it; empty where nobody says.
        most_bytes: a row belongs to the first bucket of its call whose `most_bytes` the UTF-8 bytes of its fields do
            not exceed.
    """

    input_tokens: float
    output_tokens: float
    rows: float
    prefix_hits: float = 0.0
    call: str = ""
    most_bytes: float = inf

    def __post_init__(self) -> None:
        wanted = {
            "input_tokens": ("1 or more", self.input_tokens >= 1),
            "output_tokens": ("0 or more", self.output_tokens >= 0),
            "rows": ("0 or more", self.rows >= 0),
            "prefix_hits": ("0 to below 1", 0 <= self.prefix_hits < 1),
        }
        if not self.most_bytes >= 0:
            raise ConfigError(f"a bucket's most_bytes takes 0 or more, got {self.most_bytes!r}")
        for name, (expected, holds) in wanted.items():
            if not holds or getattr(self, name) == float("inf"):
                raise ConfigError(f"a bucket's {name} takes {expected}, finite, got {getattr(self, name)!r}")

    def __str__(self) -> str:
        return f"{self.input_tokens:,.0f} + {self.output_tokens:,.0f} tokens"


@dataclass(frozen=True)
class Workload:
    """All rows of a query's calls, by bucket; buckets without rows are allowed."""

    buckets: tuple[Bucket, ...]

    def __post_init__(self) -> None:
        if not self.rows > 0:
            raise ConfigError("a workload has at least one row, got none")

    @property
    def rows(self) -> float:
        """Of all buckets."""
        return sum(bucket.rows for bucket in self.buckets)
