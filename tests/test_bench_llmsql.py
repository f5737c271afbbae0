"""LLM-SQL's suite: its queries plan on the paper's tables, what is missing is said, and verdicts know the noise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from pyspark.sql import SparkSession

from bench.compare import verdicts
from bench.llmsql.contenders import text_of
from bench.llmsql.own_engine import asked_by_udf
from bench.llmsql.show import show
from bench.llmsql.suite import Query, found, queries, read
from bench.llmsql.where_time_goes import shares

HERE = Path(__file__).parents[1]
COLUMNS = {
    "movies": ["genres", "movieinfo", "movietitle", "reviewcontent", "rottentomatoeslink"],
    "products": ["description", "product_title", "text", "rating"],
    "bird": ["Body", "PostDate", "PostId", "Text"],
    "pdmx": ["artistname", "title", "metadata"],
    "beer": ["beer/name", "beer/style", "review/overall"],
    "fever": ["claim", "evidence1"],
    "squad": ["question", "context1"],
    "tweets": ["airline", "text"],
}


def test_the_suite_has_the_papers_sixteen_queries() -> None:
    of_the_paper = [query.kind for query in queries() if query.of_the_paper]
    kinds = {kind: of_the_paper.count(kind) for kind in set(of_the_paper)}
    assert kinds == {"filter": 5, "projection": 5, "multi": 2, "aggregation": 2, "rag": 2}


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.name)
def test_every_query_is_one_for_the_optimizer_and_for_the_udf(spark: SparkSession, query: Query) -> None:
    rows = spark.createDataFrame([("x",) * len(COLUMNS[query.table])], COLUMNS[query.table])
    rows.createOrReplaceTempView(query.table)
    assert len(rows.orderBy(text_of(query, rows)).collect()) == 1
    plan = spark.sql(query.text)._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("LLMEval") == query.text.count("llm(")
    spark.udf.register("own_engine", lambda prompt, data, labels, run: (json.loads(labels) or ["text"])[0])
    spark.sql(asked_by_udf(query.text)).collect()


def test_a_smaller_edition_of_a_table_will_do_and_what_is_missing_is_said(tmp_path: Path) -> None:
    rows = pa.table({"movie_title": ["Up"], "review_content": ['Nice\n"film"'], "movie_info": [None], "id": ["1"]})
    pa.csv.write_csv(rows, tmp_path / "movies_small.csv")
    pa.csv.write_csv(pa.table({"text": ["late"]}), tmp_path / "airline_tweets.csv")
    there, missing = found(tmp_path)
    assert list(there) == ["movies"]
    assert read(there["movies"]).column_names == ["movietitle", "reviewcontent", "movieinfo"]  # in the file's order
    assert read(there["movies"]).to_pylist() == [
        {"movietitle": "Up", "reviewcontent": 'Nice\n"film"', "movieinfo": None}
    ]
    assert missing["tweets"] == "airline_tweets.csv has no column airline"
    assert "huggingface.co" in missing["beer"]


def record(seconds: dict[str, list[float]]) -> dict:
    tokens = {"prompt_tokens": 100, "cached_tokens": 50, "requests": 10, "output_tokens": 10}
    runs = [
        {"query": "filter_beer", "order": "as is", "turn": turn, "contender": name, "seconds": s} | tokens
        for name, all_of in seconds.items()
        for turn, s in enumerate(all_of)
    ]
    return {
        "command": "c", "model": "m", "cores": 2, "missing": {"bird": "no file"}, "bounds": {}, "runs": runs,
        "contenders": dict.fromkeys(seconds, "means"),
    }  # fmt: skip


FASTER = {"udf": [2.0, 2.1, 2.2, 1.9, 2.0], "sparkllm": [1.0, 1.05, 1.1, 0.95, 1.02]}


def times(factor: float, **one: float) -> dict[str, list[float]]:
    """Other seconds of the same turns, with some noise."""
    noise = {"udf": (1.0, 0.98, 1.02, 0.99, 1.01), "sparkllm": (1.01, 0.99, 1.02, 0.98, 1.0)}
    return {
        name: [s * n * factor * one.get(name, 1) for s, n in zip(v, noise[name], strict=True)]
        for name, v in FASTER.items()
    }


def test_a_machine_that_is_slower_today_is_no_regression() -> None:
    old, slow_day, slower = record(FASTER), record(times(2.0)), record(times(1.0, sparkllm=1.3))
    assert [(v.query, v.said) for v in verdicts(old, slow_day)[1]] == [("filter_beer, as is", "within noise")]
    assert [v.said for v in verdicts(old, slower)[1]] == ["slower"]
    assert [v.said for v in verdicts(slower, old)[1]] == ["faster"]


def test_seconds_are_never_compared_with_ratios() -> None:
    alone = {"sparkllm": FASTER["sparkllm"]}
    yardstick, [verdict] = verdicts(record(FASTER), record(alone))
    assert (yardstick, verdict.said, verdict.ratio) == ("", "within noise", 1.0)


def test_noise_alone_is_rarely_called_a_change() -> None:
    rng = np.random.default_rng(0)
    said = 0
    for _ in range(60):
        seconds = np.exp(rng.normal(0, 0.1, (2, 20, 5)))
        results = [record({"sparkllm": []}) for _ in range(2)]
        for result, of in zip(results, seconds, strict=True):
            result["runs"] = [
                {"query": f"q{q}", "order": "as is", "turn": t, "contender": "sparkllm", "seconds": float(of[q, t])}
                for q in range(20) for t in range(5)
            ]  # fmt: skip
        said += any(v.said != "within noise" for v in verdicts(results[0], results[1])[1])
    assert said <= 8  # of 60 comparisons of 20 queries; one in twenty is expected


def compared(tmp_path: Path, *results: dict) -> subprocess.CompletedProcess[str]:
    files = [tmp_path / f"{i}.json" for i in range(len(results))]
    for file, result in zip(files, results, strict=True):
        file.write_text(json.dumps(result))
    command = [sys.executable, str(HERE / "bench" / "compare.py"), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_fails_where_a_query_is_slower_and_refuses_other_work(tmp_path: Path) -> None:
    done = compared(tmp_path, record(FASTER), record(times(1.0, sparkllm=1.5)))
    assert (done.returncode, "slower" in done.stdout) == (1, True)
    done = compared(tmp_path, record(FASTER), record(FASTER) | {"model": "another"})
    assert (done.returncode, "model m and another" in done.stderr) == (2, True)


def test_a_query_that_has_no_run_any_more_fails_the_command(tmp_path: Path) -> None:
    broken = record(FASTER)
    broken["runs"] += [run | {"query": "filter_tweets"} for run in broken["runs"]]
    done = compared(tmp_path, broken, record(FASTER))
    assert done.returncode == 1
    assert "filter_tweets, as is" in done.stdout
    assert "no run any more" in done.stdout


def test_a_yardstick_that_failed_in_one_turn_is_one_for_the_others() -> None:
    old, new = record(FASTER), record(times(1.0, sparkllm=1.3))
    new["runs"] = [run for run in new["runs"] if (run["contender"], run["turn"]) != ("udf", 2)]
    yardstick, [verdict] = verdicts(old, new)
    assert (yardstick, verdict.said, verdict.turns) == ("udf", "slower", 4)


def test_other_rows_are_other_work(tmp_path: Path) -> None:
    small, large = record(FASTER), record(FASTER)
    for result, rows in ((small, 1019), (large, 15000)):
        for run in result["runs"]:
            run["table_rows"] = rows
    done = compared(tmp_path, small, large)
    assert (done.returncode, "rows of filter_beer, as is, 0: 1019 and 15000" in done.stderr) == (2, True)


def test_the_report_has_seconds_tokens_and_speed_ups() -> None:
    shown = show(record({"cached": [2.0, 2.2, 1.8], "sparkllm": [1.0, 1.1, 0.9]}))
    assert (
        "| cached | 3 | 2.00 (1.90-2.10) |  | 0 | 10 | 100 | 50 | 50 | 50.0 | 10 | 2.00 (2.00-2.00) | 1.00 (1" in shown
    )
    assert "| geometric mean | **2.00** of 1 |" in shown
    assert "without bird: no file" in shown


def test_turns_are_paired_by_their_rows_where_a_run_has_failed() -> None:
    result = record({"udf": [10.0, 10.0, 30.0, 30.0, 30.0], "sparkllm": [5.0, 5.0, 15.0, 15.0, 15.0]})
    result["runs"] = [run for run in result["runs"] if (run["contender"], run["turn"]) != ("udf", 1)]
    assert "| udf | 4 | 30.00 (25.00-30.00) |" in show(result)
    assert "| filter_beer, as is | 2.00 (2.00-2.00) |" in show(result)


def test_rows_without_an_answer_are_in_the_report() -> None:
    result = record({"sparkllm": [1.0, 1.0, 1.0]})
    for run in result["runs"]:
        run |= {"table_rows": 50, "too_long": 2, "engine_killed": 1}
    assert "| sparkllm | 3 | 1.00 (1.00-1.00) | 50 | 3 | 10 |" in show(result)


def test_the_report_says_how_much_of_what_saved_tokens_allow_is_reached() -> None:
    result = record({"uncached": [12.0] * 4, "cached": [7.0] * 4, "sparkllm": [4.0] * 4})
    for run in result["runs"]:
        run["cached_tokens"] = {"uncached": 0, "cached": 50, "sparkllm": 80}[run["contender"]]
    shown = show(result).split("what saved prompt tokens allow")[1]
    # 0.1 s a token and 2 s whatever is saved: 4.0 s is all that 20 computed tokens allow
    [line] = [line for line in shown.splitlines() if "| filter_beer, as is | 1.75 (1.75-1.75) |" in line]
    assert line.endswith("2.50 (2.50-2.50) | 0.70 (0.70-0.70) | 1.75 (1.75-1.75) | 1.00 (1.00-1.00) |")


def test_the_seconds_of_a_query_are_shared_out_among_its_stages_and_what_their_workers_noted() -> None:
    stages = {1: (0.5, 2.0), 2: (1.5, 3.0), 3: (3.0, 9.0), 4: (4.0, 10.0)}  # 3 and 4 ask, at the same time
    noted = [(3, {"engine": 5.0, "tokenising": 1.0}), (4, {"engine": 7.0, "rows and Arrow": 1.0})]
    found = shares(12.0, stages, noted)
    assert found == pytest.approx(
        {"planning": 2.5, "other stages": 2.5, "engine": 6.0, "tokenising": 0.5, "rows and Arrow": 0.5}
    )
    assert shares(3.0, {1: (0.0, 2.0)}, []) == {"planning": 1.0, "other stages": 2.0}


def test_the_report_says_where_time_goes() -> None:
    result = record({"cached": [2.0, 2.2], "sparkllm": [1.0, 3.0]})
    assert "| filter_beer, as is |" not in show(result).split("Where sparkllm's time goes")[1]
    for run, engine in zip(result["runs"][2:], (0.5, 2.5), strict=True):
        run["where"] = {"engine": engine, "planning": 0.5}
    shown = show(result).split("Where sparkllm's time goes")[1]
    assert "| filter_beer, as is | 25.0 | 0.0 |" in shown
    assert "| 75.0 | 0.0 |" in shown
