"""Pilot runs: a few rows are asked first, and tell which of several filters over answers is to come first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from sparkllm.spark_session import last_reports
from sparkllm.udf.iterator_udf import iterator_udf
from tests.optimizer import capitals
from tests.optimizer.noise import noise
from tests.optimizer.queries import in_order, plan, run
from tests.settings import configured

ROWS = 3200
PILOT = 28  # a 128th, of each partition its share, upwards
LEARN = "spark.sparkllm.optimizer.learnSelectivity"
OFF = {"spark.sparkllm.optimizer.pilotRun": "false"}
MANY, FEW = "llm('Is it so?', many, text) = 'YES'", "llm('Is it rare?', few, text) = 'YES'"
BOTH = f"SELECT id FROM big WHERE {MANY} AND {FEW}"


@pytest.fixture(scope="module")
def big(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    """A table of 3,200 rows: `many` is 'yes' in 9 of 10, `few` in one of 10; the stand-in answers with them."""
    session = capitals.small_tables(spark, capitals.stand_in())
    numbers = range(ROWS)
    rows = {
        "id": numbers,
        "many": ["never" if i % 10 == 5 else "yes" for i in numbers],
        "few": ["yes" if i % 10 == 3 else "no" for i in numbers],
        "text": [noise(i, 200) for i in numbers],
    }
    folder = tmp_path_factory.mktemp("big")
    for part in range(2):
        pd.DataFrame(rows).iloc[part::2].to_parquet(folder / f"{part}.parquet", index=False)
    session.read.parquet(str(folder)).createOrReplaceTempView("big")
    return session


def asked(calls: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Prompt, rows and pilot's rows of each call, the first one first."""
    return [(call["call"]["prompt"], call["rows"], call["pilot_rows"]) for call in calls]


def without_and_with(big: SparkSession, sql: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The calls of a query without a pilot and with one; its rows are the same."""
    with configured(big, OFF):
        expected, off = run(big, sql)
    rows, calls = run(big, sql)
    assert in_order(rows) == in_order(expected)
    return off, calls


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM big WHERE {}",
        "SELECT few, count(*) FROM big WHERE {} GROUP BY few",
        "SELECT id FROM (SELECT big.* FROM big JOIN (SELECT DISTINCT id AS i FROM big) ON id = i) WHERE {}",
        "SELECT 1 WHERE 5 < (SELECT count(id) FROM big WHERE {})",
    ],
)
def test_the_filter_that_keeps_fewer_rows_comes_first(big: SparkSession, query: str) -> None:
    sql = query.format(f"{MANY} AND {FEW}")
    off, calls = without_and_with(big, sql)
    assert asked(off) == [("Is it so?", ROWS, 0), ("Is it rare?", ROWS * 9 // 10, 0)]
    assert asked(calls) == [("Is it rare?", ROWS, PILOT), ("Is it so?", ROWS // 10, PILOT)], plan(big.sql(sql))


def test_explain_says_that_the_order_is_found_later(big: SparkSession) -> None:
    said = "place among the calls: by a pilot run"
    assert plan(big.sql(BOTH)).count(said) == 2
    with configured(big, OFF):
        assert said not in plan(big.sql(BOTH))


def test_an_order_that_is_right_stays(big: SparkSession) -> None:
    sql = f"SELECT id FROM big WHERE {FEW} AND {MANY}"
    assert asked(run(big, sql)[1]) == [("Is it rare?", ROWS, PILOT), ("Is it so?", ROWS // 10, PILOT)]


def test_the_requests_of_a_pilot_count_for_the_calls_of_its_query(big: SparkSession) -> None:
    _, [few, many] = run(big, BOTH)
    assert (few["requests"], few["distinct"], few["prompt_tokens"]) == (ROWS + PILOT, ROWS, 10 * (ROWS + PILOT))
    assert (many["requests"], many["distinct"]) == (ROWS // 10 + PILOT, ROWS // 10)


def test_calls_on_the_same_fields_change_places_in_one_placement(big: SparkSession) -> None:
    """Both read the rows where they are, and the data stays before the instruction of the one that is second now."""
    first, second = (f"llm('{'Is it so, then? ' * 20}{name}?', few, many, text)" for name in ("First", "Second"))
    sql = f"SELECT id FROM big WHERE {first} <> 'MAYBE' AND {second} = 'YES'"
    off, calls = without_and_with(big, sql)
    assert [call["rows"] for call in off] == [ROWS, ROWS]
    assert [call["rows"] for call in calls] == [ROWS, ROWS // 10]
    assert [call["call"]["data_first"]["follows"] for call in calls] == [False, True]


def test_a_call_over_an_answer_and_a_third_filter(big: SparkSession) -> None:
    over = "llm('Is that so?', llm('What is it?', many, text), text) <> 'MAYBE'"
    sql = f"SELECT id, many FROM big WHERE {over} AND {MANY} AND {FEW}"
    _, calls = without_and_with(big, sql)
    # of two calls for a row, no row is dropped
    assert asked(calls) == [
        ("Is it rare?", ROWS, PILOT), ("Is it so?", ROWS // 10, PILOT),
        ("What is it?", ROWS // 10, PILOT), ("Is that so?", ROWS // 10, PILOT),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "sql", "settings"),
    [
        ("a hint for each", BOTH.replace("text)", "text, selectivity => 0.5)"), {}),
        ("a limit", f"{BOTH} LIMIT 3", {}),
        ("few rows", f"SELECT id FROM big WHERE id < 1000 AND {MANY} AND {FEW}", {}),
        ("one filter", f"SELECT id, llm('What?', text) FROM big WHERE {MANY}", {}),
        ("one needs the other's answer", "SELECT id FROM (SELECT id, text, llm('Is it so?', many, text) AS a FROM big) "
         "WHERE a = 'YES' AND llm('Really?', a, text) = 'YES'", {}),
        ("rows that come sorted", f"SELECT id FROM (SELECT * FROM big ORDER BY id) WHERE {MANY} AND {FEW}",
         {"spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.EliminateSorts"}),
        ("one task", BOTH, {"spark.sparkllm.tasks": "1"}),
        ("rows that stay where they are", BOTH,
         {"spark.sparkllm.optimizer.coLocate": "false"}),
        ("calls as they are written", BOTH,
         {"spark.sparkllm.optimizer.orderCascade": "false"}),
        ("a plan that stays", BOTH, {"spark.sql.adaptive.enabled": "false"}),
    ],
)  # fmt: skip
def test_nothing_is_asked_first(big: SparkSession, claim: str, sql: str, settings: dict[str, str]) -> None:
    with configured(big, settings):
        rows, calls = run(big, sql)
        with configured(big, OFF):
            expected, _ = run(big, sql)
    assert [call["pilot_rows"] for call in calls] == [0, 0]
    assert len(rows) == 3 if claim == "a limit" else in_order(rows) == in_order(expected)


def test_after_a_query_the_next_one_knows(big: SparkSession) -> None:
    sql = f"SELECT id FROM big WHERE {MANY.replace('so', 'well known')} AND {FEW.replace('rare', 'seen')}"
    with configured(big, {LEARN: "true"}):
        first, second = (asked(run(big, sql)[1]) for _ in range(2))
        lines = [line for line in plan(big.sql(sql)).splitlines() if "LLMEval" in line]
    assert first == [("Is it seen?", ROWS, PILOT), ("Is it well known?", ROWS // 10, PILOT)]
    assert second == [("Is it seen?", ROWS, 0), ("Is it well known?", ROWS // 10, 0)]
    assert ["well known" in line for line in lines] == [True, False], "the plan that is shown has that order"


def _fails_at(text: str, settings: tuple[str, ...] = ("fail",)) -> Any:
    """A stand-in in which a call that is to fail does so where a field is this text."""
    answer = capitals.answers()
    kind = StructType(
        [*(StructField(n, StringType()) for n in ("value", "error")), StructField("requests", IntegerType())]
    )

    def llm_eval(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        returned = pa.struct([("value", pa.string()), ("error", pa.string()), ("requests", pa.int32())])
        for requests, rows, *_ in batches:
            told = []
            for request, row in zip(requests.to_pylist(), rows.to_pylist(), strict=True):
                if json.loads(request)["call"].get("on_error") in settings and text in row.values():
                    raise ValueError(f"found {text}")
                told.append(answer(request, list(row.values())) | {"requests": 1})
            yield pa.array(told, type=returned)

    return iterator_udf(llm_eval, kind)


def test_a_row_that_a_filter_leaves_out_does_not_fail_the_query(big: SparkSession) -> None:
    """The pilot asks all calls for it."""
    fails = MANY.replace("text)", "text, on_error => 'fail')")
    sql = f"SELECT id FROM big WHERE {FEW} AND {fails}"
    big.udf.register("__llm_eval", _fails_at("never"))
    try:
        rows, calls = run(big, sql)
        with pytest.raises(Exception, match="found never"):
            run(big, sql.replace(f"{FEW} AND", "llm('Is it some?', few) <> 'MAYBE' AND"))
    finally:
        big.udf.register("__llm_eval", capitals.stand_in())
    assert len(rows) == ROWS // 10
    assert [call["pilot_rows"] for call in calls] == [PILOT, PILOT]


def test_a_condition_that_may_fail_stays_behind_the_filter_before_it(big: SparkSession) -> None:
    """NEVER is no number: of rows that are YES, all have one."""
    number = "llm('Which number?', if(many = 'yes', string(7 + id % 10), many), text)"
    sql = f"SELECT id FROM big WHERE {MANY} AND int({number}) < 8"
    _, calls = without_and_with(big, sql)
    assert asked(calls) == [("Is it so?", ROWS, 0), ("Which number?", ROWS * 9 // 10, 0)]


def test_a_field_that_may_fail_is_not_computed_for_rows_that_a_filter_leaves_out(big: SparkSession) -> None:
    number = "llm('Which number?', if(many = 'yes', '7', raise_error('stop')), text)"
    sql = f"SELECT id FROM big WHERE {MANY} AND {number} = '7'"
    rows, calls = run(big, sql)
    assert len(rows) == ROWS * 9 // 10
    assert asked(calls) == [("Is it so?", ROWS, 0), ("Which number?", ROWS * 9 // 10, 0)]
    with pytest.raises(Exception, match="stop"):
        run(big, sql.replace(f"{MANY} AND", ""))


def test_a_pilot_whose_engine_fails_leaves_the_query_to_say_so(big: SparkSession) -> None:
    big.udf.register("__llm_eval", _fails_at("yes", settings=("null", "fail")))
    try:
        with pytest.raises(Exception, match="found yes"):
            run(big, f"SELECT id FROM big WHERE {MANY} AND {FEW}".replace("text)", "text, on_error => 'fail')"))
    finally:
        big.udf.register("__llm_eval", capitals.stand_in())
    report = json.loads(last_reports(big, 1)[0])
    assert not report["succeeded"]


def test_conditions_of_many_forms_have_a_pilot(big: SparkSession) -> None:
    typed = "llm('Who?', many, text, schema => 'name STRING, age INT')"
    told = "llm('Which?', few, text, on_error => 'struct')"
    sql = f"""SELECT id FROM big WHERE {typed}.name IN ('YES', 'NEVER') AND {typed}.age BETWEEN 1 AND 9
              AND upper(trim({told}.value)) LIKE 'Y%' AND length({told}.value) > 1 AND {told}.error IS NULL"""
    assert asked(run(big, sql)[1]) == [("Which?", ROWS, PILOT), ("Who?", ROWS // 10, PILOT)]


def test_a_cte_that_is_read_twice_is_asked_once(big: SparkSession) -> None:
    """Its copies share their answers as long as their plans are equal."""
    cte = f"WITH c AS (SELECT id FROM big WHERE {MANY} AND {FEW})"
    for sql in (
        f"{cte} SELECT count(*), (SELECT count(*) FROM c) FROM c",
        f"{cte} SELECT count(*), count(y.id) FROM c x LEFT JOIN c y ON x.id = y.id",
    ):
        rows, calls = run(big, sql)
        assert rows == [[ROWS // 10, ROWS // 10]]
        assert asked(calls) == [("Is it so?", ROWS, 0), ("Is it rare?", ROWS * 9 // 10, 0)]


def test_a_table_that_is_laid_out_by_what_is_asked_is_sampled_all_over(
    big: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The largest file comes first, and its rows are the other way round."""
    folder = tmp_path_factory.mktemp("clustered")
    for part, (count, many, few) in enumerate([(900, "no", "yes"), *[(800, "yes", "no")] * 3]):
        texts = [noise(10000 * part + i, 200) for i in range(count)]
        pd.DataFrame({"many": many, "few": few, "text": texts}).to_parquet(folder / f"{part}.parquet", index=False)
    big.read.parquet(str(folder)).createOrReplaceTempView("clustered")
    calls = asked(run(big, f"SELECT text FROM clustered WHERE {FEW} AND {MANY}")[1])
    assert [(prompt, rows) for prompt, rows, _ in calls] == [("Is it rare?", 3300), ("Is it so?", 900)]
    by_value = "SELECT /*+ REPARTITION(200, few) */ * FROM clustered"
    calls = asked(run(big, f"SELECT text FROM ({by_value}) WHERE {MANY} AND {FEW}")[1])
    assert [(prompt, rows) for prompt, rows, _ in calls] == [("Is it rare?", 3300), ("Is it so?", 900)]


def test_an_order_with_more_exchanges_leaves_the_last_calls_where_their_rows_are(big: SparkSession) -> None:
    """As it was written, the last call read the rows of the one before it."""
    sql = f"SELECT id, llm('Say it:', few, text) FROM big WHERE {MANY} AND {FEW}"
    _, calls = without_and_with(big, sql)
    assert asked(calls) == [
        ("Is it rare?", ROWS, PILOT), ("Is it so?", ROWS // 10, PILOT), ("Say it:", ROWS // 10, 0),
    ]  # fmt: skip


def test_a_pilot_is_asked_once(big: SparkSession) -> None:
    """More than 1,000 rows are left behind the first filter, and written once more."""
    half = "llm('Is it half?', if(text < '8', 'yes', 'no'), text) = 'YES'"
    filters = f"llm('Is it 7?', many, id) <> 'B' AND {half} AND llm('Is it it?', text) <> 'B'"
    calls = run(big, f"SELECT id FROM big WHERE {filters}")[1]
    assert calls[0]["rows"] == ROWS
    assert 1000 < calls[1]["rows"] == calls[2]["rows"] < ROWS
    assert [call["pilot_rows"] for call in calls] == [PILOT, PILOT, PILOT]


def test_the_top_of_an_aggregate_needs_all_rows(big: SparkSession) -> None:
    sql = f"SELECT id % 7, count(*) AS n FROM big WHERE {MANY} AND {FEW} GROUP BY 1 ORDER BY n LIMIT 5"
    assert asked(run(big, sql)[1]) == [("Is it rare?", ROWS, PILOT), ("Is it so?", ROWS // 10, PILOT)]


def test_rows_that_are_known_to_share_nothing(big: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Their calls have plain exchanges in between."""
    folder = tmp_path_factory.mktemp("unlike")
    big.sql(f"""CREATE TABLE unlike USING parquet LOCATION '{folder}/t' AS
                SELECT id, concat(many, id) AS many, concat(few, id) AS few, text FROM big""")
    try:
        big.sql("ANALYZE TABLE unlike COMPUTE STATISTICS FOR ALL COLUMNS")
        many, few = (f"substr(llm('{name}?', {name}), 1, 3) = 'YES'" for name in ("many", "few"))
        with configured(big, {"spark.sql.cbo.enabled": "true"}):
            calls = run(big, f"SELECT id FROM unlike WHERE {many} AND {few}")[1]
    finally:
        big.sql("DROP TABLE unlike")
    assert asked(calls) == [("few?", ROWS, PILOT), ("many?", ROWS // 10, PILOT)]


def test_adaptive_execution_of_everything(big: SparkSession) -> None:
    with configured(big, {"spark.sql.adaptive.forceApply": "true"}):
        calls = run(big, BOTH)[1]
    assert asked(calls) == [("Is it rare?", ROWS, PILOT), ("Is it so?", ROWS // 10, PILOT)]


def test_a_call_below_an_exchange_that_spark_removes_is_asked_once(big: SparkSession) -> None:
    """Rows come by id from the aggregate, which is how they are to be repartitioned."""
    grouped = big.sql("SELECT id, max(text) AS t, max(few) AS f FROM big GROUP BY id")
    first = grouped.selectExpr("id", "t", "f", "llm('First one?', f, order => 'off') AS a").repartition("id")
    first.selectExpr("id", "a", "llm('Second one?', f, t)").createOrReplaceTempView("second")
    calls = run(big, "SELECT * FROM second")[1]
    assert asked(calls) == [("First one?", ROWS, 0), ("Second one?", ROWS, 0)]
