"""The README's examples are what a newcomer types first: they run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.command_line import main
from tests.settings import configured

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BASH = re.findall(r"```bash\n(.*?)```", README, flags=re.S)
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.S)
CELLS = [
    re.split(r"(?<!\\)\|", line)[1].replace("\\|", "|") for line in README.splitlines() if line.startswith("| `llm")
]
FORMS = [form for cell in CELLS for form in re.findall(r"`(.*?)`", cell)]


def test_the_first_example_runs_and_shows_labels_and_a_report(
    spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    example = PYTHON[0]
    assert "sparkllm.session(" in example
    assert "withColumn" in example
    settings = {key: spark.conf.get(key) for key in spark.conf.getAll if key.startswith("spark.sparkllm.")}
    exec(compile(example, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert len(re.findall(r"\|(?:negative|neutral|positive)\|", out.replace(" ", ""))) == 4
    assert "requests sent to vLLM" in out
    assert settings == {key: spark.conf.get(key) for key in settings}


def test_the_estimate_runs_as_it_stands(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(i, "Kettle", f"review {i % 3}") for i in range(9)]
    spark.createDataFrame(rows, "id int, product string, review string").createOrReplaceTempView("reviews")
    [example] = [text for text in PYTHON if "sparkllm.explain(" in text]
    exec(compile(example, "README.md", "exec"), {"sparkllm": sparkllm, "spark": spark})
    out = capsys.readouterr().out
    assert re.search(r"expected calls +3; equal prompts of different tasks", out)
    assert "about the price?" in out


@pytest.mark.parametrize(("command", "shows"), [("sql", "product"), ("explain", "== Physical Plan ==")])
def test_the_commands_run_as_they_stand(
    spark: SparkSession, command: str, shows: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    [example] = [text for text in BASH if text.startswith(f"sparkllm {command} ")]
    capsys.readouterr()
    with configured(spark, {"spark.sparkllm.engine": "dry-run"}):
        assert main(shlex.split(example)[1:]) == 0
    assert shows in capsys.readouterr().out


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_table_is_understood(spark: SparkSession, form: str) -> None:
    names = ["id", "product", "review", "text", "title", "body"]
    spark.createDataFrame([("x",) * len(names)], ", ".join(f"{n} string" for n in names)).createOrReplaceTempView("any")
    plan = spark.sql(f"EXPLAIN SELECT {form} FROM any").collect()[0][0]
    assert f"LLMEval {form.partition('(')[0]}(" in plan


def test_the_table_has_all_its_forms() -> None:
    assert len(FORMS) == 22


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_two_commands_are_in_the_makefile(command: str) -> None:
    assert command in README
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{command.removeprefix('make ')}:", makefile, flags=re.M)
