"""The queries of LLM-SQL (arXiv 2403.05821, section 6 and appendices A to C) and the tables they are over.

Sixteen queries of five kinds: filter, projection, multi (two calls), aggregation and rag. The kinds, tables and
fields are the paper's, the prompts say the same in words of our own. Five more say that they are not: four over
tweets to airlines, which are real and small, of which `turned` has the calls of `multi` in the other order, and one
over a column of few different values. A query is a file, `<kind>_<table>.sql`; tables.toml says in which files tables
may be found.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

__all__ = ["WHERE", "Query", "Source", "found", "queries", "read"]

WHERE = "https://huggingface.co/datasets/f20180301/adrs-data, folder llm_sql/datasets"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Query:
    """One query of the suite.

    Attributes:
        name: its file's.
        kind: filter, projection, multi, turned, aggregation or rag.
        table: the one it is over.
        text: Spark SQL.
    """

    name: str
    kind: str
    table: str
    text: str

    @property
    def of_the_paper(self) -> bool:
        """Whether LLM-SQL has it, too."""
        return "not one of the paper's" not in self.text


@dataclass(frozen=True)
class Source:
    """A table's file, and its columns in the file's order: the paper's name of each by the file's."""

    path: Path
    columns: Mapping[str, str]


def queries(folder: Path = _HERE / "queries") -> tuple[Query, ...]:
    """All queries, by name.

    >>> [query.kind for query in queries()].count("filter"), len(queries())
    (6, 21)
    >>> [query.of_the_paper for query in queries()].count(True)
    16
    """
    files = sorted(folder.glob("*.sql"))
    return tuple(Query(f.stem, *_kind_and_table(f.stem), f.read_text(encoding="utf-8")) for f in files)


def found(folder: Path, tables: Path = _HERE / "tables.toml") -> tuple[dict[str, Source], dict[str, str]]:
    """(tables that are in a folder, why each other one is not)."""
    there: dict[str, Source] = {}
    missing: dict[str, str] = {}
    for name, table in tomllib.loads(tables.read_text(encoding="utf-8")).items():
        path = next((folder / file for file in table["files"] if (folder / file).exists()), None)
        if path is None:
            missing[name] = f"no {table['files'][0]} in the folder; it is at {WHERE}"
            continue
        columns = _columns(path, table["columns"])
        lacking = [need for need in table["needs"] if need not in columns.values()]
        if lacking:
            missing[name] = f"{path.name} has no column {', '.join(lacking)}"
        else:
            there[name] = Source(path, columns)
    return there, missing


def read(source: Source) -> pa.Table:
    """A table's rows as texts, under the paper's names."""
    table = _table(source.path)
    columns = [table[name].cast(pa.string()) for name in source.columns]
    return pa.table(columns, names=list(source.columns.values()))


def _kind_and_table(name: str) -> tuple[str, str]:
    kind, table = name.split("_")
    return kind, table


def _columns(path: Path, wanted: list[str]) -> dict[str, str]:
    names = pa.parquet.read_schema(path).names if path.suffix == ".parquet" else next(_blocks(path)).schema.names
    if not wanted:
        return {name: name for name in names}
    known = {_plain(name): name for name in wanted}
    return {name: known[_plain(name)] for name in names if _plain(name) in known}


def _plain(name: str) -> str:
    return name.rsplit("/", 1)[-1].replace("_", "").lower()


def _table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pa.parquet.read_table(path)
    return pa.Table.from_batches(_blocks(path))


def _blocks(path: Path) -> Iterator[pa.RecordBatch]:
    """Of a CSV, all columns as texts, empty ones as null; texts may hold line breaks."""
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    names = pa.csv.open_csv(path, parse_options=parse).schema.names
    convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    yield from pa.csv.open_csv(path, parse_options=parse, convert_options=convert)
