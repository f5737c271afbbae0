"""What a worker and the server say to each other about the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from sparkllm.backend.ledger.settings import LedgerSettings

__all__ = ["KEY_BYTES", "Beside", "found_messages", "read_found", "read_question", "recall_question"]

KEY_BYTES = 16
_FOUND = pa.schema([("row", pa.int32()), ("text", pa.string())])
_ROWS_PER_MESSAGE = 1024


class Beside(NamedTuple):
    """What goes with prompts whose answers are to be kept.

    Attributes:
        ledger: where.
        keys: one for each prompt, binary [prompts].
        field_orders: the fields as they stand in each prompt, "2,0,1", string [prompts].
    """

    ledger: LedgerSettings
    keys: pa.Array
    field_orders: pa.Array

    def take(self, rows: np.ndarray) -> Self:
        """The same for some of the prompts."""
        return self._replace(keys=self.keys.take(pa.array(rows)), field_orders=self.field_orders.take(pa.array(rows)))


def recall_question(ledger: LedgerSettings, query: str, keys: Sequence[bytes]) -> bytes:
    """A line of JSON, then the keys, each of KEY_BYTES."""
    return json.dumps([ledger.to_json(), query]).encode() + b"\n" + b"".join(keys)


def read_question(body: bytes) -> tuple[LedgerSettings, str, list[bytes]]:
    """Read what `recall_question` wrote."""
    line, _, keys = body.partition(b"\n")
    ledger, query = json.loads(line)
    each = [keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES)]
    return LedgerSettings.from_json(ledger), query, each


def found_messages(keys: Sequence[bytes], found: Mapping[bytes, str], trouble: str) -> Iterator[bytes]:
    """First a JSON string with what is to be said of the ledger, then Arrow messages with the texts that were found."""
    yield json.dumps(trouble).encode()
    rows = [row for row, key in enumerate(keys) if key in found]
    for start in range(0, len(rows), _ROWS_PER_MESSAGE):
        some = rows[start : start + _ROWS_PER_MESSAGE]
        arrays = [pa.array(some, pa.int32()), pa.array([found[keys[row]] for row in some], pa.string())]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, _FOUND) as out:
            out.write_batch(pa.RecordBatch.from_arrays(arrays, schema=_FOUND))
        yield sink.getvalue().to_pybytes()


def read_found(messages: Iterable[pa.Buffer]) -> tuple[dict[int, str], str]:
    """(place of each key that was found -> its answer, what is to be said of the ledger)."""
    first, *batches = messages
    found: dict[int, str] = {}
    for message in batches:
        table = pa.ipc.open_stream(message).read_all()
        found.update(zip(table.column("row").to_pylist(), table.column("text").to_pylist(), strict=True))
    return found, str(json.loads(first.to_pybytes()))
