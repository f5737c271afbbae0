"""One submission: prompts go to the engine on one thread, answers come back on another, in any order."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import flight

from sparkllm.backend.ledger.exchange import Beside
from sparkllm.backend.wire import ANSWERS, PROMPTS, prompt_batch
from sparkllm.errors import EngineError

__all__ = ["Submission"]

_ROWS_PER_MESSAGE = 512
_TOKENS_PER_MESSAGE = 2**20  # the server holds one message whole, and reads the next while it works on it


class Submission:
    """Requests under way. Made by `EngineClient.submit`."""

    def __init__(
        self,
        token_ids: pa.ListArray,
        open_stream: Callable[[], tuple[Any, Any]],
        translate: Callable[[Exception], EngineError],
        beside: Beside | None = None,
    ) -> None:
        self._batch = prompt_batch(token_ids, beside)
        self._open_stream = open_stream
        self._translate = translate
        self._lock = threading.Lock()
        self._reader: Any = None
        self._cancelled = False
        self._error: EngineError | None = None
        self._answers: list[pa.RecordBatch] = []
        self._thread = threading.Thread(target=self._run, name="sparkllm-submission", daemon=True)
        self._thread.start()

    def result(self) -> pa.RecordBatch:
        """Wait for all answers.

        Returns:
            One row per prompt, in the order submitted: text, error, prompt_tokens, cached_tokens, output_tokens,
            truncated, kept. `text` is null exactly when `error` is not.

        Raises:
            EngineDiedError: the engine ended meanwhile.
            EngineError: the submission was cancelled, or the stream broke.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        table = pa.Table.from_batches(self._answers, schema=ANSWERS)
        order = np.argsort(table.column("id").to_numpy(), kind="stable")
        if len(order) != self._batch.num_rows:
            raise EngineError(f"expected {self._batch.num_rows} answers, found {len(order)}: run the query again")
        ordered = table.drop_columns("id").take(pa.array(order)).combine_chunks()
        return ordered.to_batches()[0] if len(order) else pa.RecordBatch.from_pylist([], schema=ordered.schema)

    @property
    def done(self) -> bool:
        """Whether `result` returns, or raises, at once."""
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Whether it is done, after at most `seconds`."""
        self._thread.join(seconds)
        return self.done

    def cancel(self) -> None:
        """Tell the engine to abort what is unfinished; returns at once."""
        with self._lock:
            self._cancelled = True
            if self._reader is not None:
                self._reader.cancel()

    def _run(self) -> None:
        try:
            if self._batch.num_rows:
                self._exchange()
        except Exception as error:
            self._error = EngineError("the submission was cancelled") if self._cancelled else self._translate(error)

    def _exchange(self) -> None:
        writer, reader = self._open_stream()
        with self._lock:
            self._reader = reader
            if self._cancelled:
                reader.cancel()
        # Both ways at once: the server sends answers before it has read all prompts, and a full pipe on one side only
        # would stop both.
        sender = threading.Thread(target=self._send, args=(writer,), name="sparkllm-prompts", daemon=True)
        sender.start()
        try:
            self._answers = [chunk.data for chunk in reader]
        finally:
            reader.cancel()
            sender.join()
            with contextlib.suppress(flight.FlightError, pa.ArrowException, OSError):
                writer.close()
        if self._cancelled:
            raise EngineError("cancelled")

    def _send(self, writer: Any) -> None:
        # A broken stream shows on the reading side, with the server's reason.
        with contextlib.suppress(flight.FlightError, pa.ArrowException, OSError):
            writer.begin(PROMPTS)
            for message in _messages(self._batch):
                writer.write_batch(message)
            writer.done_writing()


def _messages(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows in slices, each as long as one message may be; a prompt longer than that goes alone."""
    offsets, start = batch.column("token_ids").offsets.to_numpy(), 0
    while start < batch.num_rows:
        fits = int(np.searchsorted(offsets, offsets[start] + _TOKENS_PER_MESSAGE, side="right")) - 1
        stop = min(max(fits, start + 1), start + _ROWS_PER_MESSAGE, batch.num_rows)
        yield batch.slice(start, stop - start)
        start = stop
