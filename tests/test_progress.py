"""The bar as a user sees it: queries on a real terminal, with a dry run of a fixed speed in place of the engine."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparkllm.backend.client import connect
from sparkllm.backend.launch import end
from sparkllm.config import LLMConfig
from tests.progress_script import ask
from tests.settings import configured
from tests.terminal import frames, on_terminal, screen
from tests.test_budget import eventually

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the terminal was sent during each part of tests/progress_script.py."""
    folder = tmp_path_factory.mktemp("engine")
    folder.chmod(0o700)
    command = [sys.executable, "-m", "tests.progress_script", str(folder)]
    code, written = on_terminal(command, {"PYTHONPATH": str(ROOT)}, 110)
    assert code == 0, written
    parts = written.split("MARK ")[1:]
    return {part.split("\r")[0]: part for part in parts}


def lines(part: str) -> list[str]:
    return [line for frame in frames(part) for line in frame.splitlines() if line.startswith("query ")]


def test_rows_calls_speed_hits_and_time_left_are_shown_while_a_query_runs(session: dict[str, str]) -> None:
    shown = lines(session["counted"])
    whole = r"query \d+ \S+ \d+/500 rows  0/1 tasks  \d+ calls  [\d,]+ tok/s  \d+ % hits  \d:\d\d  \d:\d\d left"
    assert [line for line in shown if re.fullmatch(whole, line)], shown[-5:]
    assert "0/500 rows  0/1 tasks  no answer yet" in shown[0]
    calls = [int(found[1]) for line in shown if (found := re.search(r"(\d+) calls", line))]
    assert calls == sorted(calls)
    assert 0 < calls[-1] <= 500


def test_where_nobody_knows_the_rows_there_are_tasks_and_no_time_left(session: dict[str, str]) -> None:
    shown = lines(session["unknown"])
    assert [line for line in shown if re.search(r"[01]/2 tasks", line)]
    assert not [line for line in shown if "left" in line or re.search(r"/\S+ rows", line)]


def without_sparks_own(shown: list[str]) -> list[str]:
    """Without PySpark's report of a pipe that a cancelled task has broken: whether it comes, and where, is chance."""
    report = r"PySpark daemon failed to flush|Traceback \(most|  File \S*/pyspark/|    \S|BrokenPipeError: "
    return [line for line in shown if not re.match(report, line)]


@pytest.mark.parametrize(
    ("part", "after"),
    [("counted", []), ("failing", ["failed"]), ("cancelled", ["gone"])],
)
def test_the_bar_ends_with_its_query_however_that_ends(session: dict[str, str], part: str, after: list[str]) -> None:
    assert lines(session[part])
    assert without_sparks_own(screen(session[part])) == [part, *after, ""]


def test_only_sparks_own_report_of_a_broken_pipe_is_left_out() -> None:
    try:
        raise BrokenPipeError
    except BrokenPipeError:
        ours = traceback.format_exc().splitlines()
    daemons = ["PySpark daemon failed to flush the output to the worker process:", ours[0]]
    daemons += [
        '  File "/lib/pyspark.zip/pyspark/daemon.py", line 95, in worker',
        "    outfile.flush()",
        ours[-1] + ": [Errno 32]",
    ]
    assert without_sparks_own(["cancelled", *daemons, "gone"]) == ["cancelled", "gone"]
    assert ours[1] in without_sparks_own(ours)


def test_two_queries_have_a_line_each(session: dict[str, str]) -> None:
    assert [frame for frame in frames(session["both"]) if len(frame.splitlines()) == 2]


def test_what_the_user_prints_meanwhile_stands_whole(session: dict[str, str]) -> None:
    assert screen(session["both"]) == ["both", "in between", ""]


def test_switched_off_it_leaves_the_terminal_to_sparks_own_bar(session: dict[str, str]) -> None:
    assert lines(session["off"]) == []
    assert "[Stage " in session["off"]
    assert "[Stage " not in session["counted"] + session["cancelled"]


def test_its_threads_end_with_the_session(session: dict[str, str]) -> None:
    ended = screen(session["end"])
    assert "sparkllm-progress has ended" in ended
    assert not [line for line in ended if "alive" in line]


@pytest.fixture(scope="module")
def dry(spark: SparkSession) -> Iterator[SparkSession]:
    """Of half a second and more for each query, in a process whose standard error is no terminal."""
    settings = {"spark.sparkllm.engine": "dry-run", "spark.sparkllm.dryRunTokensPerSecond": "2000"}
    with configured(spark, settings):
        yield spark
        conf = {key: value for key, value in spark.conf.getAll.items() if key.startswith("spark.sparkllm.")}
        end(connect(LLMConfig.from_spark(conf), None, spark.sparkContext.applicationId)._folder)


def test_a_batch_job_is_quiet(dry: SparkSession, capfd: pytest.CaptureFixture[str]) -> None:
    ask(dry, "batch", 150)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("rows", "call", "said"),
    [
        ("range(150)", "llm('classify', text)", "150/150 rows"),
        ("(SELECT /*+ REPARTITION(2) */ * FROM range(150) WHERE id % 3 != 1)", "llm('classify', text)", "100/100 rows"),
        ("range(300) WHERE id % 2 = 0", "llm('classify', text)", "150 rows"),
        ("range(300)", "CASE WHEN id % 2 = 0 THEN llm('classify', text) END", "150 rows"),
    ],
    ids=["a list", "behind an exchange", "a filter", "a guard"],
)
def test_a_batch_job_that_asks_for_it_gets_a_line_with_rows_that_were_counted(
    dry: SparkSession, capsys: pytest.CaptureFixture[str], rows: str, call: str, said: str
) -> None:
    told = ""

    def line() -> bool:
        nonlocal told
        told += capsys.readouterr().err
        return "\n" in told

    text = f"concat('{said}, {len(rows)}, {len(call)}: row ', id)"  # that no other case has put into the cache
    with configured(dry, {"spark.sparkllm.progress": "on"}):
        dry.sql(f"SELECT {call.replace('text', text)} AS c FROM {rows}").collect()
    eventually(line, 10)
    assert re.fullmatch(rf"sparkllm: query \d+: {said}  (\d)/\1 tasks  \d+ calls  .*\n", told)
