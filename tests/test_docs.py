"""Each page's examples run, in order, and what pages say of code and of each other is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.calls import ORDERS
from sparkllm.config_table import configuration_page
from sparkllm.tasks import tasks

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCES = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.M | re.S)
RUN = ("python", "sql")
TABLES = ("negative", "answers")


def blocks(page: Path) -> list[tuple[str, str]]:
    return FENCES.findall(page.read_text(encoding="utf-8"))


@pytest.fixture
def reader(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkSession]:
    """A reader's session: a table, a dry run in place of the model, and all settings as they were, afterwards."""
    monkeypatch.chdir(tmp_path)
    before = {key: value for key, value in spark.conf.getAll.items() if key.startswith("spark.sparkllm.")}
    spark.conf.set("spark.sparkllm.engine", "dry-run")
    rows = [(i, "Kettle", f"review {i % 5}", "A title", 1 + i % 5) for i in range(12)]
    frame = spark.createDataFrame(rows, "id int, product string, review string, title string, stars int")
    frame.createOrReplaceTempView("reviews")
    yield spark
    for key in [key for key in spark.conf.getAll if key.startswith("spark.sparkllm.")]:
        spark.conf.unset(key)
    for key, value in before.items():
        spark.conf.set(key, value)
    for table in TABLES:
        spark.sql(f"DROP TABLE IF EXISTS {table}")


@pytest.mark.parametrize("page", [p for p in PAGES if {kind for kind, _ in blocks(p)} & set(RUN)], ids=lambda p: p.stem)
def test_a_pages_examples_run_as_they_stand(reader: SparkSession, page: Path) -> None:
    names = {"spark": reader, "sparkllm": sparkllm, "llm": sparkllm.llm, "reviews": reader.table("reviews")}
    for kind, text in blocks(page):
        if kind == "sql":
            for statement in filter(str.strip, text.split(";\n")):
                reader.sql(statement).collect()
        elif kind == "python":
            exec(compile(text, page.name, "exec"), names)


def test_what_is_not_run_is_marked_so() -> None:
    assert {kind for page in PAGES for kind, _ in blocks(page)} == {"", "bash", "text", *RUN}


def test_the_page_of_settings_is_made_from_the_settings() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == configuration_page(), "run: python -m sparkllm.config_table > docs/configuration.md"
    assert page.count("\n| `") == len(sparkllm.LLMConfig.spark_keys()) + page.count("| default |")


def test_the_sql_reference_has_every_function_and_every_order() -> None:
    page = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
    for task in tasks().values():
        assert f"`{task.function}" in page, task.function
    for order in ORDERS:
        assert f"`{order}`" in page, order


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_to_files(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")) if ":" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if page.stem != "index" and f"]({page.name})" not in index] == []
