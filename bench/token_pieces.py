"""Prompts tokenised whole against prompts put together from token pieces: time, and equal ids.

    python bench/token_pieces.py --data FOLDER --json bench/results/token_pieces.json

FOLDER (or the variable SPARKLLM_DATA) holds beer.csv and airline_tweets.csv; what is missing there is said and left
out. From the dictionary codes of the distinct rows to the Arrow list that is handed to the engine, as a Python worker
does it, with the table as one window and in windows of 1,024 rows:

    whole    render every prompt as text, tokenise the texts
    pieces   tokenise every distinct cell, put the ids together

Both in turns, the first one changing; a pair gives a ratio. Medians of pairs, in brackets the smallest and the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from machine import machine
from rich.console import Console
from rich.table import Table

from sparkllm.calls import LLMCall
from sparkllm.model_tokenizer import model_tokenizer
from sparkllm.optimizer.dedup import dedup
from sparkllm.optimizer.encode import Encoded, encode
from sparkllm.optimizer.order_fields import order_fields
from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.udf.prompt import render
from sparkllm.udf.token_pieces import TokenPieces
from sparkllm.udf.tokens import ChatTokenizer, token_array

PROMPTS = {
    "beer.csv": "Based on the beer, is it of European origin? Answer YES or NO.",
    "airline_tweets.csv": "Is the tweet below a complaint? Answer YES or NO.",
}
WINDOWS = (0, 1024)


def main() -> int:
    """Measure every table that is there; 1 where the ids of the two ways differ."""
    args = arguments()
    tokenizer = model_tokenizer(args.model)
    if tokenizer is None:
        sys.exit(f"expected a model with a tokenizer.json on this machine, found none for {args.model!r}")
    results = []
    for name, prompt in PROMPTS.items():
        path = Path(args.data) / name
        if not path.exists():
            print(f"{name}: not found in {args.data}, left out")
            continue
        table, call = load(path, prompt)
        results += [{"table": name, **measure(tokenizer, call, table, rows, args.pairs)} for rows in WINDOWS]
    if args.json:
        model = Path(args.model).name
        command = f"python bench/token_pieces.py --data FOLDER --model {model} --pairs {args.pairs}"
        record = {"command": command, **machine(), "model": model, "unit": "s", "results": results}
        Path(args.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table_of(results))
    return 0 if all(r["equal"] for r in results) else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA", "."), help="folder of the tables")
    parser.add_argument("--model", default="demo", help="path or Hugging Face id whose tokenizer is used")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--json", help="write the result to this file")
    return parser.parse_args()


def load(path: Path, prompt: str) -> tuple[Encoded, LLMCall]:
    """The distinct rows of a table in the order in which they are sent, and a call on all of its columns."""
    multiline = csv.ParseOptions(newlines_in_values=True)
    names = csv.read_csv(path, parse_options=multiline).column_names
    text = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    read = csv.read_csv(path, parse_options=multiline, convert_options=text)
    table = encode([column.combine_chunks() for column in read.columns], len(read))
    distinct = table.take(dedup(table.codes)[0])
    fields = order_fields(Cells.of_encoded(distinct))
    sent = distinct.take(order_rows(distinct.codes, fields))
    # The columns as the field order has them, so that the order is 0, 1, 2, ...
    columns = [[sent.values[c][code] or None for code in sent.codes[:, c]] for c in fields]
    call = LLMCall(None, prompt, tuple(names[c] for c in fields))
    return encode([pa.array(column, type=pa.string()) for column in columns], len(sent.codes)), call


def measure(tokenizer: ChatTokenizer, call: LLMCall, table: Encoded, window: int, pairs: int) -> dict[str, Any]:
    """Times of both ways and their ratio; `window` 0 is the whole table."""
    n, m = table.codes.shape
    parts = [part(table, i, min(n, i + (window or n))) for i in range(0, n, window or n)]
    order = np.arange(m, dtype=np.int16)

    def whole() -> list[pa.ListArray]:
        return [token_array(tokenizer.encode(render(call, one, tuple(order.tolist())))) for one in parts]

    def pieces() -> list[pa.ListArray]:
        each = [TokenPieces(tokenizer, call, one).prompts(np.arange(len(one.codes)), order) for one in parts]
        return [ids.to_arrow() for ids in each]

    ways: dict[str, Callable[[], list[pa.ListArray]]] = {"whole": whole, "pieces": pieces}
    equal = all(a.equals(b) for a, b in zip(whole(), pieces(), strict=True))  # warms up, too
    times: dict[str, list[float]] = {"whole": [], "pieces": [], "render": []}
    for i in range(pairs):
        for way in sorted(ways, reverse=bool(i % 2)):
            times[way].append(timed(ways[way]))
        times["render"].append(timed(lambda: [render(call, one, tuple(order.tolist())) for one in parts]))
    ratios = [a / b for a, b in zip(times["whole"], times["pieces"], strict=True)]
    spreads = {
        k: {"median": median(v), "least": min(v), "most": max(v)} for k, v in (times | {"ratio": ratios}).items()
    }
    cells = {
        "cells": int((table.codes != 0).sum()),
        "distinct_cells": sum(len(np.unique(c[c != 0])) for c in table.codes.T),
    }
    return {"window": window, "rows": n, "columns": m, **cells, "equal": equal, "pairs": pairs, **spreads}


def part(table: Encoded, start: int, stop: int) -> Encoded:
    """A window as it reaches a worker: with dictionaries of its own."""
    codes = table.codes[start:stop]
    columns = [
        pa.array([table.values[c][v] if v else None for v in codes[:, c]], pa.string()) for c in range(codes.shape[1])
    ]
    return encode(columns, len(codes))


def timed(way: Callable[[], Any]) -> float:
    """Seconds of one run."""
    begin = time.perf_counter()
    way()
    return time.perf_counter() - begin


def table_of(results: list[dict[str, Any]]) -> str:
    """The results as text."""
    shown = Table(
        "table", "rows", "window", "cells, distinct", "whole, s", "of it rendering", "pieces, s", "ratio", "ids equal"
    )
    for r in results:
        times = [
            f"{r[k]['median']:.2f} ({r[k]['least']:.2f} to {r[k]['most']:.2f})"
            for k in ("whole", "render", "pieces", "ratio")
        ]
        cells = f"{r['cells']:,}, {r['distinct_cells']:,}"
        shown.add_row(
            r["table"], f"{r['rows']:,}", f"{r['window'] or 'all':}", cells, *times, "yes" if r["equal"] else "NO"
        )
    console = Console(width=170)
    with console.capture() as text:
        console.print(shown)
    return text.get()


if __name__ == "__main__":
    sys.exit(main())
