"""The prompts that some rows of a call would send: what explain() and workload() both stand on. No model is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkllm.backend.chat import Chat
from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.calls import LLMCall
from sparkllm.config import LLMConfig
from sparkllm.model_tokenizer import RoughTokenizer, endpoint_tokenizer, model_tokenizer
from sparkllm.optimizer.dedup import dedup
from sparkllm.optimizer.encode import NULL, Encoded, encode
from sparkllm.row_slices import row_slices, some_rows
from sparkllm.sampled_layout import unshared_bytes
from sparkllm.udf.prefix_counts import PrefixCounter, PrefixCounts
from sparkllm.udf.prompt import closing_text, static_text
from sparkllm.udf.prompt_order import PromptOrder
from sparkllm.udf.task import Task
from sparkllm.udf.token_pieces import TokenPieces
from sparkllm.udf.tokens import PromptTokenizer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["EXACT", "ROWS", "PromptSample", "asked_once", "sample_prompts", "sample_slices", "tokenizer_of"]

ROWS = 10_000  # of a sample, where nobody says how many
EXACT = "the model's tokenizer"
_ROUGH = "four bytes each, the model's tokenizer is not on this machine"
_OURS = "the demo model's tokenizer, the endpoint has one of its own"
_ENDPOINTS = "the tokenizer that is set for the endpoint"
_ORDER_ROWS = 4096  # as many as the first window of a task shows
_BLOCK = 32  # vLLM's on a CPU as sparkllm sets it; a GPU's 16 serves a little more


@dataclass(frozen=True, eq=False)
class PromptSample:
    """Prompts as one task would send them.

    Attributes:
        call: what is asked, `data_first` where its prompts are laid out so.
        rows: rows of the sample.
        whole: they are all rows of the call.
        order: of rows and fields.
        pieces: the rows that are asked.
        sent, fields: their order, int64 [k], and that of the fields, int16 [m] or [k, m].
        lengths: tokens of each prompt, int64 [k].
        counts: what a cold cache of any size serves of them, [k].
        tokens_by: what counted the tokens.
        first_half: prompts that the first half of the rows has.
    """

    call: LLMCall
    rows: int
    whole: bool
    order: PromptOrder
    pieces: TokenPieces
    sent: np.ndarray
    fields: np.ndarray
    lengths: np.ndarray
    counts: PrefixCounts
    tokens_by: str
    first_half: int

    @property
    def texts(self) -> list[tuple[str | None, ...]]:
        """The fields of each prompt in the order they are sent, null is None, [k][m]."""
        table = self.pieces.table.take(self.sent)
        columns = (
            [values[code] if code != NULL else None for code in codes]
            for values, codes in zip(table.values, table.codes.T.tolist(), strict=True)
        )
        return list(zip(*columns, strict=True))

    @property
    def bytes(self) -> np.ndarray:
        """UTF-8 bytes of each prompt's fields, null has none, int64 [k]."""
        table = self.pieces.table.take(self.sent)
        sizes = [each[codes] for each, codes in zip(table.lengths, table.codes.T, strict=True)]
        return np.array(sizes, dtype=np.int64).sum(axis=0)


def sample_prompts(
    call: LLMCall, model: str, frame: DataFrame, config: LLMConfig, rows: int, data_first: int | None = None
) -> PromptSample:
    """Plan the first `rows` rows as one task would (sparkllm/udf/evaluation.py); one Spark job, as for a LIMIT.

    Args:
        call: what is asked.
        model: path or id.
        frame: the call's fields as texts, one column each.
        config: the session's settings.
        rows: most rows that are looked at.
        data_first: from how many unshared bytes of a row the data stands before the instruction; None: never.
    """
    read = frame.limit(rows + 1).collect()  # one more tells whether there are more
    return _planned(call, model, read[:rows], config, len(read) <= rows, data_first)


def sample_slices(
    call: LLMCall, model: str, frame: DataFrame, config: LLMConfig, rows: int, data_first: int | None, total: int
) -> PromptSample:
    """The same for pieces of all `total` rows in the order in which tasks will have them; Spark sorts all of them.

    `frame` has the rows that are asked about (`asked_rows`); where they are no more than `rows`, all are taken. The
    order of the fields is chosen from rows taken by chance, as neighbours are too much alike to tell.
    """
    if total <= rows:
        return _planned(call, model, frame.collect(), config, False, data_first)
    some = some_rows(frame, _ORDER_ROWS, total) if len(call.fields) > 1 else []
    order = _order(call, tokenizer_of(call, model, config)[0], _asked(call, some), config, ()).fields
    return _planned(call, model, row_slices(frame, order, rows, total), config, False, data_first, order)


def _asked(call: LLMCall, rows: list[Any]) -> Encoded:
    """The rows with any field."""
    encoded = encode([pa.array([row[i] for row in rows], pa.string()) for i in range(len(call.fields))], len(rows))
    return encoded.take(np.flatnonzero((encoded.codes != NULL).any(axis=1)))


def _planned(
    call: LLMCall,
    model: str,
    rows: list[Any],
    config: LLMConfig,
    whole: bool,
    data_first: int | None,
    field_order: tuple[int, ...] = (),
) -> PromptSample:
    asked = _asked(call, rows)
    tokenizer, tokens_by = tokenizer_of(call, model, config)
    first = dedup(asked.codes)[0] if asked_once(config) else np.arange(len(asked.codes))
    pieces = TokenPieces(tokenizer, call, asked.take(first))
    order = _order(call, tokenizer, asked, config, field_order)
    sent, fields = order.of(pieces)
    if data_first is not None and unshared_bytes(call.fields, pieces.table.take(sent), order.fields) >= data_first:
        call = replace(call, data_first=True)
        pieces = TokenPieces(tokenizer, call, pieces.table)
        order = _order(call, tokenizer, asked, config, order.fields)
        sent, fields = order.of(pieces)
    ids = pieces.prompts(sent, fields)
    counts = _counter(call, tokenizer, config).add(ids.to_arrow())
    half = int((first < len(asked.codes) / 2).sum())
    return PromptSample(call, len(rows), whole, order, pieces, sent, fields, ids.lengths, counts, tokens_by, half)


def _counter(call: LLMCall, tokenizer: PromptTokenizer, config: LLMConfig) -> PrefixCounter:
    static, closing = tokenizer.opening(static_text(call)), closing_text(call)
    ends = len(tokenizer.opening(closing)) - len(tokenizer.opening("")) + len(tokenizer.frame_end) if closing else 0
    return PrefixCounter(static, config.block_size or _BLOCK, ends)


def tokenizer_of(call: LLMCall, model: str, config: LLMConfig) -> tuple[PromptTokenizer, str]:
    """What counts the tokens of a call's prompts, and what that is called."""
    chat = Chat.of(config, held=call.held)
    if is_endpoint(model):
        return endpoint_tokenizer(config, model, chat), _ENDPOINTS if config.endpoint_vocabulary else _OURS
    own = model_tokenizer(model, config.chat_template, chat)
    return (own, EXACT) if own else (RoughTokenizer(), _ROUGH)


def asked_once(config: LLMConfig) -> bool:
    """Whether equal rows are one prompt."""
    return config.optimizer_dedup and config.temperature == 0


def _order(
    call: LLMCall, tokenizer: PromptTokenizer, asked: Encoded, config: LLMConfig, field_order: tuple[int, ...]
) -> PromptOrder:
    def sample() -> TokenPieces:
        first = asked.take(np.arange(min(len(asked.codes), _ORDER_ROWS)))
        return TokenPieces(tokenizer, call, first.take(dedup(first.codes)[0]))

    task = Task(call, config, application="", field_order=field_order)
    return PromptOrder(task, lambda _, proposal: proposal, sample)
