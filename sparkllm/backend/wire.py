"""What travels over the socket: schemas, names, and the conversion between Arrow batches and Python rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from sparkllm.backend.engine import Answer

__all__ = ["ANSWERS", "AUTHORIZATION", "ENGINE_DIED", "PROMPTS", "answer_batch", "location", "prompt_rows"]

PROMPTS = pa.schema([("id", pa.int32()), ("token_ids", pa.list_(pa.int32()))])
ANSWERS = pa.schema(
    [
        ("id", pa.int32()),
        ("text", pa.string()),
        ("error", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("cached_tokens", pa.int32()),
        ("output_tokens", pa.int32()),
        ("truncated", pa.bool_()),
    ]
)
AUTHORIZATION = "authorization"
# Flight's `extra_info` of an error: the engine is gone, not only this stream.
ENGINE_DIED = b"engine died"


def location(socket: object) -> str:
    """Flight's address of a Unix socket."""
    return f"grpc+unix://{socket}"


def prompt_rows(batch: pa.RecordBatch) -> Iterator[tuple[int, list[int]]]:
    """(id, token ids) of each row of a PROMPTS batch; a null prompt is an empty one."""
    lists = batch.column("token_ids")
    # One slice of a flat buffer per row: `as_py` on nested values is ten times as slow.
    offsets, values = lists.offsets.to_pylist(), lists.values.to_numpy(zero_copy_only=False)
    for row, number in enumerate(batch.column("id").to_pylist()):
        yield number, values[offsets[row] : offsets[row + 1]].tolist() if lists[row].is_valid else []


def answer_batch(answers: Iterable[tuple[int, Answer]]) -> pa.RecordBatch:
    """An ANSWERS batch, in the order given."""
    rows: Sequence[tuple[object, ...]] = [
        (number, a.text, a.error, a.prompt_tokens, a.cached_tokens, a.output_tokens, a.truncated)
        for number, a in answers
    ]
    columns = zip(*rows, strict=True) if rows else [[] for _ in ANSWERS]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ANSWERS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=ANSWERS)
