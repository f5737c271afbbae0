"""The notebooks run, and stand in the repository with what they gave."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

from tests.notebook_runner import ROOT, run, written  # noqa: E402

FOLDER = ROOT / "notebooks"


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def text(cell: Any) -> str:
    """What a reader sees below a cell, as plain text."""
    shown = [output.get("text") or output.data.get("text/plain", "") for output in cell.outputs]
    return "\n".join(shown)


def outputs_of(notebook: Any, source: str) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and source in cell.source]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def check_quickstart(done: Any) -> None:
    assert re.search(r"(positive|negative|neutral)$", text(outputs_of(done, "Kettle One")[0]), flags=re.M)
    [again] = outputs_of(done, "print(sparkllm.last_report())")
    assert re.search(r"requests sent to vLLM +0\n", text(again))
    assert "no model was asked" in text(outputs_of(done, "sparkllm.explain")[0])
    assert "image/png" in outputs_of(done, ".plot()")[0].outputs[-1].data
    assert "<svg" in outputs_of(done, "sparkllm.last_report()")[0].outputs[-1].data["text/html"]


def check_movie_reviews(done: Any) -> None:
    [report] = [c for c in outputs_of(done, "sparkllm.last_report()") if c.source == "sparkllm.last_report()"]
    hits = re.search(r"prefix hits, data</th><td[^>]*>([\d.]+) %", report.outputs[-1].data["text/html"])
    assert hits
    assert float(hits[1]) > 50
    assert all("image/png" in cell.outputs[-1].data for cell in outputs_of(done, ".plot()"))
    extracted = outputs_of(done, "'recommended")[0].outputs[-1].data["text/html"]
    assert re.findall(r"<th>(\w+)</th>", extracted)[:3] == ["review", "recommended", "about_money"]
    drafts = re.search(r"(\d+) moments, (\d+) of them with drafts", text(outputs_of(done, "of them with drafts")[0]))
    assert drafts
    assert int(drafts[2]) > 0


def check_databricks(done: Any) -> None:
    assert "negative" in text(outputs_of(done, "SELECT id, product, llm")[0])
    assert "unhappy" in text(outputs_of(done, "AS unhappy")[0])
    assert re.search(r"rows entering LLMEval +40\n", text(outputs_of(done, "maxCalls")[0]))


# How each is checked; and, of the one whose answers are not looked at, settings for its run.
NOTEBOOKS: dict[str, tuple[Callable[[Any], None], dict[str, str]]] = {
    "01_quickstart": (check_quickstart, {}),
    "02_movie_reviews": (check_movie_reviews, {}),
    "03_databricks": (check_databricks, {"spark.sparkllm.engine": "dry-run"}),
}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_shows_what_it_says(name: str, folder: Path) -> None:
    check, settings = NOTEBOOKS[name]
    check(run(FOLDER / f"{name}.ipynb", folder, settings))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_committed_with_its_outputs_and_without_this_machine(name: str) -> None:
    notebook, source = read(name), (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    NOTEBOOKS[name][0](notebook)
    assert written(notebook) == source, f"run: make notebooks ({name})"
    assert not [out for cell in notebook.cells for out in cell.get("outputs", []) if out.output_type == "error"]
    assert not re.search(r"/(tmp|home|root|work|usr|opt)/", source)
    assert len(source) < 400_000
