"""check_drift(): do the answers change with the order that the optimizer gives to fields and rows?

A model reads the same row in another order, and may answer otherwise. The sample is asked in both orders, without the
ledger, which would take the second answer from the first.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparkllm.ask_rows import ask_rows
from sparkllm.calls import LLMCall
from sparkllm.config import PREFIX
from sparkllm.errors import ConfigError
from sparkllm.planned_query import PlannedQuery
from sparkllm.report_table import ReportTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["CallDrift", "Difference", "QueryDrift", "check_drift"]

_READ = 50  # rows that are read for each that is asked, so that the sample is not the table's beginning
_SHOWN = 3
_Z = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Difference:
    """One row whose answer changed: its fields, the answer in the optimizer's order and that in the query's."""

    fields: dict[str, str | None]
    optimized: str | None
    original: str | None


@dataclass(frozen=True)
class CallDrift:
    """One call of a query.

    Attributes:
        call: what was asked.
        rows: rows of the sample, each asked in both orders; 0 where its fields are answers of another call.
        same: rows whose two answers are equal, letter for letter.
        field_order: the fields as the optimizer's prompts had them.
        differences: the other rows.
    """

    call: LLMCall
    rows: int
    same: int
    field_order: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def agreement(self) -> float:
        """Share of the rows with the same answer, 0..1; nan for none."""
        return self.same / self.rows if self.rows else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the agreement over all rows (Wilson, JASA 22, 1927); (0, 1) for none.

        >>> CallDrift(LLMCall(None, "Is it?"), 200, 190, (), ()).interval
        (0.910..., 0.972...)
        """
        if not self.rows:
            return 0.0, 1.0
        n, p = self.rows, self.agreement
        middle, around = p + _Z**2 / (2 * n), _Z * math.sqrt(p * (1 - p) / n + (_Z / (2 * n)) ** 2)
        return (middle - around) / (1 + _Z**2 / n), (middle + around) / (1 + _Z**2 / n)


@dataclass(frozen=True)
class QueryDrift(ReportTable):
    """What the optimizer's orders change of a query's answers; `print` shows it as a table, a notebook too."""

    calls: tuple[CallDrift, ...]

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("LLM drift", "answers in the optimizer's order beside those in the query's own")]
        for call in self.calls:
            lines.append(("call", str(call.call)))
            lines += _lines_of(call) if call.rows else [("  agreement", "not asked: no rows, or answers as fields")]
        return lines


def check_drift(
    query: DataFrame | str, spark: SparkSession | None = None, sample: int = 200, seed: int = 0
) -> QueryDrift:
    """Ask a sample of a query's rows in the optimizer's order and in the query's own, and say how often they agree.

    Reads the first 50 * `sample` rows of each call, takes `sample` different ones by chance, and asks each twice:
    2 * `sample` requests for each call. Takes nothing from the ledger and leaves nothing there; a budget of the
    session's is one of queries, and neither charged nor kept to. The optimizer's order is the one that it finds for the
    sample. A call over another one's answers is not asked. Where a query's several
    calls share their fields, the data may also stand before the instruction; that is not compared here
    (`spark.sparkllm.optimizer.dataFirst=false` turns it off).

    Args:
        query: a DataFrame, or the text of a query.
        spark: the session of a text; the active one when left out.
        sample: most rows of each call.
        seed: of the choice of rows.

    Raises:
        ConfigError: `sample` is not positive, or answers are sampled (a temperature above 0) and differ anyway.
        SparkLLMError: there is no session.
        pyspark.errors.AnalysisException: the query is wrong, or a command such as INSERT.
    """
    if sample < 1:
        raise ConfigError(f"check_drift() takes a sample of 1 or more rows, got {sample}")
    planned = PlannedQuery.of(query, spark)
    if float(planned.conf.get(f"{PREFIX}temperature", 0)) > 0:
        raise ConfigError(
            f"check_drift() takes greedy answers, as sampled ones differ anyway: unset {PREFIX}temperature"
        )
    return QueryDrift(
        tuple(_drift(planned.session, planned.conf, one.call, one.frame, sample, seed) for one in planned.calls)
    )


def _drift(
    spark: SparkSession, conf: dict[str, str], call: LLMCall, frame: DataFrame | None, sample: int, seed: int
) -> CallDrift:
    rows = [] if frame is None else _some(frame, sample, seed)
    if not rows:
        return CallDrift(call, 0, 0, (), ())
    optimized, order = _ask(spark, conf, call, rows)
    original, _ = _ask(spark, conf, replace(call, order="off"), rows)
    pairs = zip(rows, optimized, original, strict=True)
    different = tuple(Difference(dict(zip(call.fields, row, strict=True)), a, b) for row, a, b in pairs if a != b)
    names = tuple(call.fields[int(i)] for i in order.split(",")) if order and order[0].isdigit() else ()
    return CallDrift(call, len(rows), len(rows) - len(different), names, different)


def _some(frame: DataFrame, sample: int, seed: int) -> list[tuple[str | None, ...]]:
    """Different rows with something to ask about."""
    read = dict.fromkeys(tuple(row) for row in frame.limit(_READ * sample).collect())
    able = [row for row in read if any(value is not None for value in row)]
    return random.Random(seed).sample(able, min(sample, len(able)))


def _ask(
    spark: SparkSession, conf: dict[str, str], call: LLMCall, rows: Sequence[tuple[str | None, ...]]
) -> tuple[list[str | None], str]:
    """(the answer of each row, the field order of their prompts as Python writes it)."""
    settings = conf | {f"{PREFIX}ledger": "off", f"{PREFIX}ledgerSharedPath": ""}
    found = ask_rows(spark, settings, call, rows)
    orders = [answer.field_order for answer in found if answer.field_order]
    return [answer.value for answer in found], orders[0] if orders else ""


def _lines_of(call: CallDrift) -> list[tuple[str, str]]:
    low, high = call.interval
    lines = [("  field order", ", ".join(call.field_order) or "one for each row")] if len(call.call.fields) > 1 else []
    lines.append(
        ("  agreement", f"{call.same:,} of {call.rows:,} rows, {100 * call.agreement:.1f} % "
                        f"({100 * low:.1f} to {100 * high:.1f} % of all, with 95 % certainty)")
    )  # fmt: skip
    for one in call.differences[:_SHOWN]:
        lines.append(("  for example", f"{one.optimized!r} instead of {one.original!r}: {_short(one.fields)}"))
    return lines


def _short(fields: dict[str, str | None], most: int = 100) -> str:
    text = ", ".join(f"{name}: {value}" for name, value in fields.items() if value is not None)
    return text if len(text) <= most else f"{text[:most]}..."
