"""One generated query, run under several settings and compared with the oracle, for test_differential.py and fuzz.py.

A stand-in for the engine answers equal prompts equally. Large tables have the same rows as small ones, and a column
that nobody reads but which makes their files large enough for joins by sort and for co-located calls.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from sparkllm.config import LLMConfig
from sparkllm.spark_session import last_reports, register
from sparkllm.udf.iterator_udf import iterator_udf
from tests.optimizer.lazy_values import ANSWERS
from tests.optimizer.minimum_calls import evaluate
from tests.optimizer.queries import in_order, query_id
from tests.optimizer.query_generator import generate
from tests.optimizer.query_tree import Query, Select, With
from tests.optimizer.small_tables import COLUMNS, ROWS, TABLES
from tests.settings import configured

__all__ = ["RULES", "Comparison", "Sessions", "compare", "sessions"]

LEARN, CASCADE = (f"spark.sparkllm.optimizer.{rule}" for rule in ("learnSelectivity", "orderCascade"))
# what earlier queries kept would make each run of a query another one
RULES = [key for key, name in LLMConfig.spark_keys().items() if name.startswith("optimizer_") and key != LEARN]
# ten rows are read before their code would be compiled
QUICK = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
MOST_JOINS = 12  # a query of the generator has four at most, and what a rule adds is one for each call
LARGE = {"spark.sql.autoBroadcastJoinThreshold": "-1", "spark.sql.adaptive.autoBroadcastJoinThreshold": "1MB"}
Sessions = Mapping[bool, SparkSession]


def stand_in() -> Any:
    """An `__llm_eval` with the answers of the oracle; its function is nested so that Spark sends it by value."""
    words = ANSWERS

    def answer(request: str, fields: list[str | None]) -> str | None:
        import zlib

        call = json.loads(request)["call"]
        if all(f is None for f in fields):
            return None
        text = "|".join([call["task"] or call["prompt"], *map(str, fields)])
        return words[zlib.crc32(text.encode()) % len(words)]

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        for requests, rows, *_ in batches:
            pairs = zip(requests.to_pylist(), rows.to_pylist(), strict=True)
            values = pa.array([answer(request, list(row.values())) for request, row in pairs], pa.string())
            yield pa.StructArray.from_arrays([values, pa.nulls(len(values), pa.string())], names=["value", "error"])

    return iterator_udf(llm_eval, StructType([StructField("value", StringType()), StructField("error", StringType())]))


def sessions(spark: SparkSession, folder: Path) -> Sessions:
    """A session with large tables (True) and one with small ones."""
    found = {large: register(spark.newSession(), tasks=2, _function=stand_in()) for large in (True, False)}
    for large, session in found.items():
        for key, value in (QUICK | (LARGE if large else {})).items():
            session.conf.set(key, value)
        for name in COLUMNS:
            path = str(folder / f"{name}_{large}")
            table(session, name, padding=1 << 20 if large else 0).write.parquet(path)
            session.read.parquet(path).createOrReplaceTempView(name)
    return found


def table(spark: SparkSession, name: str, padding: int) -> DataFrame:
    """The rows of a small table, with so many bytes in a column of their own."""
    types = [f"{column} {'int' if kind == 'int' else 'string'}" for column, kind in COLUMNS[name].items()]
    noise = random.Random(name)
    rows = [(*row, noise.randbytes(padding // len(ROWS[name]))) for row in ROWS[name]]
    return spark.createDataFrame(rows, ", ".join([*types, "padding binary"])).coalesce(2)


@dataclass
class Outcome:
    """`asked`: the rows that entered LLMEval nodes."""

    rows: list[list[Any]]
    asked: int
    plan: str


@dataclass
class Comparison:
    """A query under every setting that was tried, and what is wrong with it.

    Attributes:
        minimum: the fewest rows that must be asked.
        dearer: the same, with conditions in the worse of the two orders that the oracle tries.
    """

    seed: int
    query: Query
    expected: list[list[Any]]
    minimum: int
    dearer: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def asked(self) -> int:
        return self.outcomes["all on"].asked if "all on" in self.outcomes else -1

    def __str__(self) -> str:
        asked = ", ".join(f"{name} {outcome.asked}" for name, outcome in self.outcomes.items())
        plan = self.outcomes["all on"].plan if "all on" in self.outcomes else ""
        cached = f"cached: {self.query.query}\n" if isinstance(self.query, With) and self.query.cached else ""
        problems = "\n".join(self.problems)
        return (
            f"seed {self.seed}\n{problems}\n{cached}before: {self.query}\nexpected: {self.expected}\n"
            f"rows asked: {asked}; minimum {self.minimum} ({self.dearer})\n{plan}"
        )


def compare(found: Sessions, seed: int, off: list[list[str]]) -> Comparison:
    """Run the query of `seed` with all rules, then without each of these sets of rules; odd seeds without AQE.

    Before all it runs until it asks as many rows as the run before, for what earlier runs tell of its conditions.
    """
    query = generate(seed)
    result = Comparison(seed, query, *evaluate(query, TABLES))
    ordered = isinstance(query, Select) and bool(query.order)
    for rules in [[], *off]:
        name = " and ".join(rule.rpartition(".")[2] for rule in rules) + " off" if rules else "all on"
        name, settings = "all off" if rules == RULES else name, dict.fromkeys(rules, "false")
        adaptive = {"spark.sql.adaptive.enabled": str(seed % 2 == 0).lower()}
        try:
            if not rules:
                settle(found[seed % 3 == 0], query, adaptive)
            outcome = run(found[seed % 3 == 0], query, {**settings, **adaptive})
            if outcome.asked < result.asked:  # adaptive execution ends calls early where another input is empty
                settings |= {"spark.sql.adaptive.enabled": "false"}
                outcome.asked = max(outcome.asked, run(found[seed % 3 == 0], query, settings).asked)
            if outcome.asked < result.asked:  # another order of conditions has told something of them, to all rules
                result.outcomes["all on"] = run(found[seed % 3 == 0], query, adaptive)
        except Exception as error:
            result.problems.append(f"{name}: {type(error).__name__}: {str(error)[:1500]}")
            continue
        result.outcomes[name] = outcome
        result.problems += judge(name, outcome, result, ordered, by_luck=CASCADE in rules)
    return result


def settle(spark: SparkSession, query: Query, settings: Mapping[str, str], most: int = 4) -> None:
    """A better order shows what a worse one hid: at most so many runs."""
    before = -1
    for _ in range(most):
        asked = run(spark, query, settings).asked
        if asked == before:
            return
        before = asked


def judge(name: str, outcome: Outcome, result: Comparison, ordered: bool, by_luck: bool) -> list[str]:
    """`by_luck`: conditions came in the query's order, which may happen to be better than the expected one."""
    problems = []
    expected = result.expected if ordered else in_order(result.expected)
    if (outcome.rows if ordered else in_order(outcome.rows)) != expected:
        problems.append(f"{name}: wrong rows\ngot: {outcome.rows}")
    if outcome.asked < result.asked and not (by_luck and result.asked <= result.dearer):
        problems.append(f"{name}: asks {outcome.asked} rows, fewer than the {result.asked} with all rules")
    if (joins := len(re.findall(r"\bJoin\b", outcome.plan))) > MOST_JOINS:
        problems.append(f"{name}: {joins} joins, a rule repeats itself")
    return problems


def run(spark: SparkSession, query: Query, settings: Mapping[str, str]) -> Outcome:
    with configured(spark, settings), kept(spark, query):
        before = query_id(spark)
        frame = spark.sql(str(query))
        rows = [list(row) for row in frame.collect()]
        reports = [json.loads(r) for r in last_reports(spark, 20)]
        asked = sum(call["rows"] for r in reports if r["query"] > before for call in r["calls"])
        return Outcome(rows, asked, plan(frame))


def plan(frame: DataFrame) -> str:
    return str(frame._jdf.queryExecution().optimizedPlan().toString())  # type: ignore[operator]


@contextmanager
def kept(spark: SparkSession, query: Query) -> Iterator[None]:
    """The cached DataFrame that a query reads."""
    if not (isinstance(query, With) and query.cached):
        yield
        return
    frame = spark.sql(str(query.query)).cache()
    frame.createOrReplaceTempView(query.name)
    try:
        yield
    finally:
        frame.unpersist()
