"""sparkllm.place() and the command: from a query to GPUs, dollars and hours."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.placement import Catalog, Infeasible, Plan, load
from sparkllm.command_line import main
from sparkllm.errors import ConfigError
from sparkllm.placing import model_shape
from tests.settings import configured

QUERY = "SELECT llm('Is it about the price?', product, review) FROM reviews"
REVIEWS = Path(str(resources.files("sparkllm.demo").joinpath("reviews.csv")))


@pytest.fixture
def query(tmp_path: Path) -> str:
    (tmp_path / "query.sql").write_text(f"{QUERY};\n")
    return str(tmp_path / "query.sql")


def place(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command in this process."""
    capsys.readouterr()
    try:
        code = main(["place", *arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_query_is_placed_in_one_call(shop: SparkSession) -> None:
    found = sparkllm.place(QUERY, shop, deadline="2h", available={"L4": 8, "H100": 2}, output_tokens=4)
    assert isinstance(found, Plan)
    assert found.model == "demo"
    assert found.terms.deadline == 7200
    assert set(found.gpus) <= {"L4", "H100"}
    assert found.workload == sparkllm.workload(QUERY, shop, output_tokens=4)


def test_all_terms_reach_the_solver(shop: SparkSession) -> None:
    fast = sparkllm.place(QUERY, shop, objective="time", budget=5.0)
    there = sparkllm.place(shop.sql(QUERY), cluster={"L4": 2})
    held = sparkllm.place(QUERY, shop, deadline="1h", billing="held", catalog=Catalog({"L4": load().gpus["L4"]}))
    assert isinstance(fast, Plan)
    assert isinstance(there, Plan)
    assert isinstance(held, Plan)
    assert (fast.terms.objective, fast.terms.budget) == ("time", 5.0)
    assert there.cluster is not None
    assert held.usd == pytest.approx(0.81)


def test_an_impossible_deadline_names_the_nearest_one(shop: SparkSession) -> None:
    found = sparkllm.place(QUERY, shop, deadline="1m")
    assert isinstance(found, Infeasible)
    assert found.constraint == "deadline"
    assert found.nearest_deadline == pytest.approx(180, rel=0.05)


def test_engines_run_as_the_session_says(shop: SparkSession) -> None:
    slow = {"spark.sparkllm.maxNumSeqs": "1"}
    usual = sparkllm.place(QUERY, shop, cluster={"L4": 1})
    with configured(shop, slow):
        one_by_one = sparkllm.place(QUERY, shop, cluster={"L4": 1})
    assert one_by_one.seconds > usual.seconds  # type: ignore[union-attr]


def test_calls_of_two_models_are_refused_by_name(shop: SparkSession) -> None:
    with pytest.raises(ConfigError, match=r"one model, the query asks .*org/other"):
        sparkllm.place(
            "SELECT llm('classify', review), llm('classify', review, model => 'org/other') FROM reviews", shop
        )


def test_a_model_that_is_not_on_this_machine_is_named_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"config.json of org/none is not on this machine.*hf download org/none"):
        model_shape("org/none")


def test_a_model_in_the_hub_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = (Path(str(resources.files("sparkllm"))) / "demo" / "model" / "config.json").read_text()
    snapshot = tmp_path / "models--org--small" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(config)
    (tmp_path / "models--org--small" / "refs").mkdir()
    (tmp_path / "models--org--small" / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert model_shape("org/small").layers == model_shape("demo").layers


def test_the_command_prints_a_table_and_ends_with_0(
    shop: SparkSession, query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = place(capsys, query, "--deadline", "2h", "--available", "L4=8,H100=2", "--output-tokens", "4")
    assert code == 0
    assert "this plan" in out
    assert "only H100" in out
    assert "done in 2.00 h" in out
    assert "sparkllm:" not in err


def test_what_is_impossible_is_said_and_ends_with_1(
    shop: SparkSession, query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = place(capsys, query, "--deadline", "1m")
    assert code == 1
    assert out.startswith("No placement: the deadline of 1.0 min cannot be met; the shortest is 3.0 min")
    code, out, _ = place(capsys, query, "--budget", "0.01", "--json")
    assert code == 1
    assert json.loads(out)["constraint"] == "budget"
    assert json.loads(out)["nearest_budget_usd"] > 0.01


@pytest.mark.parametrize("form", ["--json", "--databricks"])
def test_what_is_meant_for_programs_is_json_alone(
    shop: SparkSession, query: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = place(capsys, query, form)
    assert code == 0
    assert json.loads(out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--deadline", "soon"], "expected a time such as 2h"),
        (["--available", "L4"], "expected counts such as L4=8"),
        (["--available", "L5=2"], "no GPU type 'L5'"),
        (["--budget", "-1"], "budget takes a number above 0"),
        (["--billing", "held"], "takes objective='cost' and a deadline"),
        (["--catalog", "none.toml"], "none.toml: expected a catalogue"),
        (["--model", "./none"], "expected a folder with a model"),
        (["--table", "reviews"], "expected NAME=PATH"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_spark_starts(
    query: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkllm.command_place.session_for", None)
    code, out, err = place(capsys, query, *arguments)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_query_that_is_wrong_is_said_in_one_line(
    shop: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.sql").write_text("SELECT llm('classify', nothing) FROM reviews")
    code, _, err = place(capsys, str(tmp_path / "wrong.sql"))
    assert code == 2
    assert [line for line in err.splitlines() if line.startswith("sparkllm: ") and "nothing" in line]
    assert "Traceback" not in err


def test_the_command_runs_on_its_own_with_a_table_from_a_file(query: str) -> None:
    command = [sys.executable, "-m", "sparkllm.command_line", "place", query, "--model", "demo", "--json"]
    done = subprocess.run(
        [*command, "--table", f"reviews={REVIEWS}", "--conf", "maxTokens=16"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert {bucket["output_tokens"] for bucket in read["buckets"]} == {8}
    assert read["rows"] > 200


def test_help_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "which GPUs to run a query on" in capsys.readouterr().out
