"""`sparkllm sql`, `explain` and `jar`: rows alone on standard output, everything else on standard error."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparkllm.backend.client import connect
from sparkllm.backend.launch import end
from sparkllm.command_line import _said, main
from sparkllm.config import LLMConfig
from sparkllm.optimizer.jar import build_jar
from tests.settings import configured

REVIEWS = Path(str(resources.files("sparkllm.demo").joinpath("reviews.csv")))
QUERY = "SELECT id, product, llm('classify', review) AS label FROM r ORDER BY int(id) LIMIT 3"
TABLE = ("--table", f"r={REVIEWS}")


@pytest.fixture(scope="module")
def dry(spark: SparkSession) -> Iterator[SparkSession]:
    with configured(spark, {"spark.sparkllm.engine": "dry-run"}):
        yield spark
        settings = {key: value for key, value in spark.conf.getAll.items() if key.startswith("spark.sparkllm.")}
        end(connect(LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId)._folder)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command in this process."""
    capsys.readouterr()
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return (code, *capsys.readouterr())


def alone(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, on pipes."""
    command = [sys.executable, "-m", "sparkllm.command_line", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_rows_are_a_table_and_the_report_is_beside_them(dry: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "sql", QUERY, *TABLE)
    assert code == 0
    assert len(out.splitlines()) == 3 + 3 + 1
    assert "product" in out
    assert "negative" in out
    assert "LLM report" not in out
    assert err.startswith("LLM report")


def test_csv_is_read_by_a_csv_reader(dry: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    query = (
        "SELECT 'two\nlines, \"quoted\"' AS text, CAST(NULL AS INT) AS nothing, array(1, 2) AS some, 1.5 AS x, 2 AS x"
    )
    code, out, err = run(capsys, "sql", query, "--format", "csv")
    assert (code, err) == (0, "")
    assert list(csv.reader(io.StringIO(out))) == [
        ["text", "nothing", "some", "x", "x"],
        ['two\nlines, "quoted"', "", "[1,2]", "1.5", "2"],
    ]


def test_json_is_an_object_on_each_line_with_its_nulls(dry: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    query = "SELECT id, named_struct('a', CAST(NULL AS INT), 'b', array('x')) AS s, DATE'2026-11-30' AS d FROM range(2)"
    code, out, _ = run(capsys, "sql", query, "--format", "json")
    assert code == 0
    expected = {"s": {"a": None, "b": ["x"]}, "d": "2026-11-30"}
    assert [json.loads(line) for line in out.splitlines()] == [{"id": i, **expected} for i in range(2)]


def test_rows_go_to_a_file_if_one_is_named(
    dry: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.csv"
    code, out, _ = run(capsys, "sql", "SELECT 1 AS one", "--format", "csv", "--output", str(file))
    assert (code, out, file.read_text()) == (0, "", "one\n1\n")


def test_a_query_comes_from_a_file_or_standard_input_too(
    dry: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.sql").write_text("SELECT 1 AS one;\n")
    assert run(capsys, "sql", str(tmp_path / "one.sql"), "--format", "csv") == (0, "one\n1\n", "")
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 2 AS two"))
    assert run(capsys, "sql", "-", "--format", "csv") == (0, "two\n2\n", "")


def test_a_command_of_sql_prints_what_it_has(dry: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "sql", "DROP VIEW IF EXISTS nothing_of_the_kind") == (0, "", "")


def test_explain_prints_the_estimate_and_the_plan_where_asked(
    dry: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "explain", QUERY, *TABLE)
    assert code == 0
    assert out.startswith("LLM estimate")
    assert "Physical Plan" not in out + err
    code, out, _ = run(capsys, "explain", QUERY, *TABLE, "--plan")
    assert "== Physical Plan ==" in out
    assert "LLMEval llm('classify'" in out


def test_jar_prints_a_path_for_programs_and_the_rest_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "jar")
    assert (code, out) == (0, f"{build_jar()}\n")
    assert f"--jars {build_jar()}" in err
    assert "spark.sql.extensions=sparkllm.catalyst.SparkLLMExtensions" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sql", "none.sql"], "No such file or directory: 'none.sql'"),
        (["sql", " "], "No such file or directory"),
        (["sql", QUERY, "--table", "r=none.csv"], "--table r: expected a file or folder, found none at none.csv"),
        (["sql", QUERY, "--table", "r"], "expected NAME=PATH"),
        (["sql", QUERY, *TABLE, "--output", "no/where.csv"], "--output: expected a file in a folder that is there"),
        (["sql", QUERY, *TABLE, "--format", "xml"], "invalid choice: 'xml'"),
        (["explain", QUERY, "--conf", "maxTokens"], "expected KEY=VALUE"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_spark_starts(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkllm.command_sql.session_for", None)
    monkeypatch.setattr("sparkllm.command_explain.session_for", None)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT llm('classify', nothing) FROM r", "`nothing`"),
        ("SELEKT 1", "Syntax error at or near 'SELEKT'"),
        ("SELECT 1 FROM nowhere", "`nowhere`"),
        ("SELECT llm('clasify', review, labels => 3) FROM r", "did you mean 'classify'"),
        ("SELECT raise_error('on purpose')", "on purpose"),
    ],
)
def test_a_wrong_query_is_one_line(
    dry: SparkSession, query: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "sql", query, *TABLE)
    assert (code, out) == (2, "")
    assert len([line for line in err.splitlines() if line.startswith("sparkllm: ")]) == 1
    assert said in err
    assert "Traceback" not in err


def test_a_setting_that_is_none_is_one_line(dry: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "sql", "SELECT 1", "--conf", "maxTokns=3")
    assert code == 2
    assert err.startswith("sparkllm: unknown setting 'spark.sparkllm.maxTokns'; did you mean")


def test_of_a_workers_traceback_the_error_is_said() -> None:
    text = (
        "\n An exception was thrown\nTraceback (most recent call last):\n  File x\nsparkllm.errors.RowError: no row\n"
    )
    assert _said(text) == "sparkllm.errors.RowError: no row"
    assert _said("An error occurred while calling o1.x.\n: org.apache.spark.SparkException: Job\n\tat x") == (
        "org.apache.spark.SparkException: Job"
    )


def test_without_java_it_says_how_to_get_one(tmp_path: Path) -> None:
    done = alone("sql", "SELECT 1 AS one", PATH=str(tmp_path), JAVA_HOME="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sparkllm: Spark needs Java 17 or later")
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [sys.executable, "-m", "sparkllm.command_line", "jar"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_on_its_own_it_prints_rows_and_report_and_nothing_of_sparks_log(tmp_path: Path) -> None:
    settings = ["--conf", "engine=dry-run", "--conf", "spark.master=local[2]", "--conf", f"runtimeDir={tmp_path}"]
    tmp_path.chmod(0o700)
    done = alone("sql", QUERY, *TABLE, *settings, "--format", "json", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [list(json.loads(line)) for line in done.stdout.splitlines()] == 3 * [["id", "product", "label"]]
    assert done.stderr.startswith("LLM report")
    assert "WARN" not in done.stderr
    assert list(tmp_path.glob("sparkllm-sql-*")) == []


def test_on_its_own_a_query_that_fails_is_one_line_with_the_place_of_sparks_log(tmp_path: Path) -> None:
    done = alone("sql", "SELECT raise_error('on purpose')", "--conf", "spark.master=local[1]", TMPDIR=str(tmp_path))
    [log] = tmp_path.glob("sparkllm-sql-*.log")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "on purpose" in done.stderr
    assert done.stderr.endswith(f"(Spark's log: {log})\n")


@pytest.mark.parametrize("command", ["sql", "explain", "place", "jar"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert "sparkllm jar" in out if command == "jar" else f"\n  sparkllm {command} " in out
