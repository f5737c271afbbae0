"""What travels over the socket: schemas, names, and the conversion between Arrow batches and Python rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sparkllm.backend.engine import Answer
from sparkllm.backend.ledger.exchange import Beside

__all__ = [
    "ANSWERS", "AUTHORIZATION", "ENDPOINT_FAILED", "ENGINE_DIED", "PROMPTS", "Prompt", "answer_batch", "location",
    "prompt_batch", "prompt_rows",
]  # fmt: skip

# key and field_order are null where the answer is not to be kept
PROMPTS = pa.schema(
    [("id", pa.int32()), ("token_ids", pa.list_(pa.int32())), ("key", pa.binary()), ("field_order", pa.string())]
)
ANSWERS = pa.schema(
    [
        ("id", pa.int32()),
        ("text", pa.string()),
        ("error", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("cached_tokens", pa.int32()),
        ("output_tokens", pa.int32()),
        ("truncated", pa.bool_()),
        ("kept", pa.bool_()),
        ("asked", pa.int32()),
        ("killed", pa.bool_()),
        ("over_budget", pa.bool_()),
    ]
)
_OUTCOME = attrgetter(*ANSWERS.names[1:])
AUTHORIZATION = "authorization"
# Flight's `extra_info` of an error: the engine is gone, not only this stream.
ENGINE_DIED = b"engine died"
# The same, and the message comes after it: the engine is well, its endpoint answers no row.
ENDPOINT_FAILED = b"endpoint failed: "


class Prompt(NamedTuple):
    """A row of PROMPTS."""

    id: int
    token_ids: list[int]
    key: bytes | None = None
    field_order: str | None = None


def location(socket: object) -> str:
    """Flight's address of a Unix socket."""
    return f"grpc+unix://{socket}"


def prompt_batch(token_ids: pa.ListArray, beside: Beside | None = None) -> pa.RecordBatch:
    """A PROMPTS batch, numbered from 0."""
    n = len(token_ids)
    numbers, lists = pa.array(np.arange(n, dtype=np.int32)), token_ids.cast(PROMPTS.field("token_ids").type)
    nothing = pa.nulls(n, pa.binary()), pa.nulls(n, pa.string())
    keys, orders = (beside.keys, beside.field_orders) if beside is not None else nothing
    return pa.RecordBatch.from_arrays([numbers, lists, keys, orders], schema=PROMPTS)


def prompt_rows(batch: pa.RecordBatch) -> Iterator[Prompt]:
    """Each row of a PROMPTS batch; a null prompt is an empty one."""
    lists = batch.column("token_ids")
    # One slice of a flat buffer per row: `as_py` on nested values is ten times as slow.
    offsets, values = lists.offsets.to_pylist(), lists.values.to_numpy(zero_copy_only=False)
    numbers, keys, orders = (batch.column(name).to_pylist() for name in ("id", "key", "field_order"))
    for row, number in enumerate(numbers):
        token_ids = values[offsets[row] : offsets[row + 1]].tolist() if lists[row].is_valid else []
        yield Prompt(number, token_ids, keys[row], orders[row])


def answer_batch(answers: Iterable[tuple[int, Answer]]) -> pa.RecordBatch:
    """An ANSWERS batch, in the order given."""
    rows: Sequence[tuple[object, ...]] = [(number, *_OUTCOME(answer)) for number, answer in answers]
    columns = zip(*rows, strict=True) if rows else [[] for _ in ANSWERS]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ANSWERS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=ANSWERS)
