"""Runs the notebooks of notebooks/ in kernels of their own, and writes them anew with what they gave.

python -m tests.notebook_runner notebooks/01_quickstart.ipynb ...
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbclient
import nbformat

__all__ = ["ROOT", "STARTS", "run", "written"]

ROOT = Path(__file__).parents[1]
_SQL = "%sql\n"
# What a cluster has and this machine has not: a session that is there before the first cell, a catalog, its table.
STARTS = """
from pyspark.sql import SparkSession
from sparkllm.demo.__main__ import read_reviews

spark = SparkSession.builder.master("local[2]").getOrCreate()
spark.sql("CREATE DATABASE shop")
read_reviews(spark).limit(40).write.saveAsTable("shop.reviews")
"""
_HERE = ("main.shop.", "shop.")


def run(path: Path, folder: Path, settings: Mapping[str, str] | None = None) -> Any:
    """The notebook as it is after a run, cell by cell; a cell tagged `databricks` is left out.

    Args:
        path: the notebook.
        folder: its engine, ledger, tables and working directory go there.
        settings: of Spark, as spark-defaults.conf gives them, so that no cell has to say them.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    on_databricks = any(_skipped(cell) for cell in notebook.cells)
    sources = [STARTS] * on_databricks + [_source(cell) for cell in _run_here(notebook)]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    environment = os.environ | {"SPARK_CONF_DIR": str(_conf(folder, settings or {})), "PYTHONPATH": str(ROOT)}
    environment |= {"PYSPARK_PYTHON": sys.executable, "COLUMNS": "110"}
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(made, timeout=600, resources=resources, record_timing=False)
    client.execute(env=environment)
    for cell, done in zip(_run_here(notebook), made.cells[on_databricks:], strict=True):
        cell.outputs = done.outputs
    return notebook


def written(notebook: Any) -> str:
    """As it is committed: without what differs from machine to machine."""
    count = 0
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        if cell.cell_type != "code":
            continue
        cell.outputs = [] if _skipped(cell) else [out for out in cell.outputs if out.get("name") != "stderr"]
        count += not _skipped(cell)
        cell.execution_count = None if _skipped(cell) else count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)) + "\n"


def _run_here(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and not _skipped(cell)]


def _skipped(cell: Any) -> bool:
    return "databricks" in cell.metadata.get("tags", [])


def _source(cell: Any) -> str:
    """What stands for a cell here: of `%sql` the text as a query, and a schema without Unity Catalog's first name."""
    source = str(cell.source).replace(*_HERE)
    if not source.startswith(_SQL):
        return source
    statements = [text for text in re.split(r";\s*\n", source.removeprefix(_SQL).strip().rstrip(";")) if text.strip()]
    return "\n".join(f"spark.sql({text!r}).toPandas()" for text in statements)


def _conf(folder: Path, settings: Mapping[str, str]) -> Path:
    engines, conf = folder / "engines", folder / "conf"
    engines.mkdir(mode=0o700)
    conf.mkdir()
    lines = {
        "spark.sparkllm.runtimeDir": str(engines),
        "spark.sparkllm.ledger": str(folder / "ledger"),
        "spark.sparkllm.kvCacheGib": "1",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        **settings,
    }
    (conf / "spark-defaults.conf").write_text("".join(f"{k} {v}\n" for k, v in lines.items()), encoding="utf-8")
    return conf


def main(paths: list[str]) -> None:
    """Run each and write it anew."""
    for path in map(Path, paths):
        with tempfile.TemporaryDirectory() as folder:
            notebook = run(path, Path(folder))
        path.write_text(written(notebook), encoding="utf-8")
        print(f"{path}: {len(_run_here(notebook))} cells run")


if __name__ == "__main__":
    main(sys.argv[1:])
