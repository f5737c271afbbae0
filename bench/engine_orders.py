"""A table in five orders as the prompts of one call, and what `prefix` expects of a KV cache for them; no engine.

input    rows and fields as they come
sorted   rows sorted by the fields in their declared order
fixed, fast, best   what `sparkllm.optimizer.ordering` finds, by tokens, the time to tokenise the cells included
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from ordering import read

from sparkllm.calls import LLMCall
from sparkllm.optimizer.encode import NULL, Encoded, encode
from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.order import order_cells
from sparkllm.optimizer.prefix import Sequences, Served, blocks, lru_blocks
from sparkllm.udf.prefix_counts import PrefixCounter
from sparkllm.udf.prompt import static_text
from sparkllm.udf.token_pieces import TokenPieces
from sparkllm.udf.tokens import ChatTokenizer

__all__ = ["ORDERS", "Sent", "blocks_of_all", "expected", "prompts_of", "table_of"]

ORDERS = ("input", "sorted", "fixed", "fast", "best")
QUESTIONS = {
    "beer.csv": "Based on the beer, is it of European origin? Answer YES or NO.",
    "movies_small.csv": "Is this movie suitable for children? Answer YES or NO.",
    "airline_tweets.csv": "Is this tweet a complaint? Answer YES or NO.",
}
QUESTION = "Is anything wrong with this record? Answer YES or NO."


@dataclass(frozen=True)
class Sent:
    """A table's prompts in one order.

    Attributes:
        prompts: token ids with instruction and chat frame, in the order in which they are sent.
        static: tokens at each prompt's beginning that no field can change, int64 [n].
        method: the solver whose order this is.
        order_seconds: to find the order, the tokens of each cell counted.
        prompt_seconds: to put the prompts together.
    """

    prompts: Sequences
    static: np.ndarray
    method: str
    order_seconds: float
    prompt_seconds: float


def table_of(path: Path, rows: int, seed: int | None) -> pa.Table:
    """The first `rows` rows (0: all) of a CSV, shuffled before where there is a seed; without those of nulls alone."""
    table = read(path)
    if seed is not None:
        table = table.take(pa.array(np.random.default_rng(seed).permutation(table.num_rows)))
    table = table.slice(0, rows or table.num_rows)
    return table.filter(pa.array((_encoded(table).codes != NULL).any(axis=1)))


def prompts_of(
    table: pa.Table, name: str, mode: str, budget: float, tokenizer: ChatTokenizer, block_size: int, most_tokens: int
) -> Sent:
    """The prompts of `mode`, one of ORDERS, as a Python worker makes them; too long ones are left out, as there."""
    call = LLMCall(None, QUESTIONS.get(name, QUESTION), tuple(table.schema.names))
    encoded, began = _encoded(table), time.perf_counter()
    pieces = TokenPieces(tokenizer, call, encoded)
    rows, fields, method = _order(pieces.cells, mode, budget)
    ordered = time.perf_counter()
    prompts = pieces.prompts(rows, fields)
    ended = time.perf_counter()
    prompts = prompts.take(np.flatnonzero(prompts.lengths <= most_tokens))
    static = PrefixCounter(tokenizer.opening(static_text(call)), block_size).add(prompts.to_arrow()).static
    return Sent(prompts, static.astype(np.int64), method, ordered - began, ended - ordered)


def _encoded(table: pa.Table) -> Encoded:
    return encode([column.combine_chunks() for column in table.columns], table.num_rows)


def _order(cells: Cells, mode: str, budget: float) -> tuple[np.ndarray, np.ndarray, str]:
    declared = tuple(range(cells.columns))
    if mode == "input":
        return np.arange(cells.rows), np.array(declared, dtype=np.int16), mode
    if mode == "sorted":
        return order_rows(cells.codes, declared), np.array(declared, dtype=np.int16), mode
    found = order_cells(cells, tuple(map(str, declared)), mode, budget if mode == "best" else None)
    return found.rows, found.fields, found.method


def expected(sent: Sent, block_size: int, capacity: int, concurrency: int) -> tuple[str, Served]:
    """(evaluator, what it says): `blocks` where the cache holds all blocks of all prompts, else `lru_blocks`."""
    if blocks_of_all(sent.prompts, block_size) <= capacity:
        return "blocks", blocks(sent.prompts, block_size, sent.static)
    return "lru_blocks", lru_blocks(sent.prompts, block_size, capacity, concurrency, static=sent.static)


def blocks_of_all(prompts: Sequences, block_size: int) -> int:
    """Blocks that the prompts take together when nothing is forgotten: those found are not taken again."""
    found = blocks(prompts, block_size).hits // block_size
    return int((-(-prompts.lengths // block_size) - found).sum())
