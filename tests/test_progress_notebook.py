"""The bar in a notebook's kernel; runs where nbclient and ipykernel are installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[1]
START = """
import sparkllm
from tests.progress_script import ask
spark = sparkllm.session(
    master="local[2]", engine="dry-run", dry_run_tokens_per_second=4000, runtime_dir={folder!r},
    **{{"spark.ui.enabled": "false", "spark.log.level": "OFF", "spark.executor.heartbeatInterval": "1s"}},
)
"""
QUERY = """
print("before")
ask(spark, "in a notebook", 300)
print("after")
"""


def test_the_bar_is_an_output_of_its_cell_and_its_last_state_stays(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    sources = [START.format(folder=str(tmp_path)), QUERY, "spark.range(3).count()", "spark.stop()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = notebook.cells[1].outputs
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    [bar] = [output.data for output in outputs if output.output_type == "display_data"]
    assert printed == "before\nafter\n"
    assert re.fullmatch(r"query \d+ ━+ 300/300 rows  1/1 tasks  300 calls  .*% hits  \d:\d\d", bar["text/plain"])
    assert bar["text/html"].startswith("<pre>query ")
    assert [output.output_type for output in notebook.cells[2].outputs] == ["execute_result"]
