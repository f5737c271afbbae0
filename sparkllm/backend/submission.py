"""One submission: prompts go to the engine on one thread, answers come back on another, in any order.

When the engine dies, the answers that have come stay, and only the rest is sent to the next one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import flight

from sparkllm.backend.ledger.exchange import Beside
from sparkllm.backend.wire import ANSWERS, PROMPTS, prompt_batch
from sparkllm.errors import EngineDiedError, EngineError

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
        restart: Callable[[EngineDiedError], None] | None = None,
    ) -> None:
        """With `restart`, which returns once `open_stream` leads to another engine or raises, it outlives engines."""
        self._batch = prompt_batch(token_ids, beside)
        self._open_stream = open_stream
        self._translate = translate
        self._restart = restart
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
            truncated, kept, asked, killed, over_budget. `text` is null exactly when `error` is not.

        Raises:
            EngineDiedError: the engine ended meanwhile, more often than it is started again.
            EngineError: the submission was cancelled, or the stream broke.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        table = pa.Table.from_batches(self._answers, schema=ANSWERS)
        order = np.argsort(table.column("id").to_numpy(), kind="stable")
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
            while (rest := self._unanswered()).num_rows:
                self._try(rest)
        except Exception as error:
            self._error = error if isinstance(error, EngineError) else EngineError(str(error))

    def _unanswered(self) -> pa.RecordBatch:
        if not self._answers:
            return self._batch
        known = pa.Table.from_batches(self._answers, schema=ANSWERS).column("id")
        return self._batch.filter(pc.invert(pc.is_in(self._batch.column("id"), value_set=known.combine_chunks())))

    def _try(self, rest: pa.RecordBatch) -> None:
        try:
            self._exchange(rest)
        except Exception as error:
            if self._cancelled:
                raise EngineError("the submission was cancelled") from error
            found = self._translate(error)
            if self._restart is None or not isinstance(found, EngineDiedError):
                raise found from error
            self._restart(found)

    def _exchange(self, rest: pa.RecordBatch) -> None:
        writer, reader = self._open_stream()
        with self._lock:
            self._reader = reader
            if self._cancelled:
                reader.cancel()
        # Both ways at once: the server sends answers before it has read all prompts, and a full pipe on one side only
        # would stop both.
        sender = threading.Thread(target=self._send, args=(writer, rest), name="sparkllm-prompts", daemon=True)
        sender.start()
        before = len(self._answers)
        try:
            for chunk in reader:
                self._answers.append(chunk.data)
        finally:
            reader.cancel()
            sender.join()
            with contextlib.suppress(flight.FlightError, pa.ArrowException, OSError):
                writer.close()
        found = sum(map(len, self._answers[before:]))
        if self._cancelled or found != rest.num_rows:
            raise EngineError(f"expected {rest.num_rows} answers, found {found}: run the query again")

    def _send(self, writer: Any, rest: pa.RecordBatch) -> None:
        # A broken stream shows on the reading side, with the server's reason.
        with contextlib.suppress(flight.FlightError, pa.ArrowException, OSError):
            writer.begin(PROMPTS)
            for message in _messages(rest):
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
