"""One call in one task: plan a window, submit it, restore the rows' order."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from sparkllm.answer_schema import json_schema
from sparkllm.backend.chat import Chat
from sparkllm.backend.engine import Sampling
from sparkllm.backend.ledger.exchange import Beside
from sparkllm.backend.task_engine import TaskEngine
from sparkllm.calls import LLMCall
from sparkllm.errors import BudgetError, RowError
from sparkllm.optimizer.dedup import dedup
from sparkllm.optimizer.encode import NULL, Encoded, encode
from sparkllm.optimizer.prefix import Sequences
from sparkllm.udf.kept_answers import KeptAnswers
from sparkllm.udf.prefix_counts import PrefixCounter
from sparkllm.udf.prompt import closing_text, static_text
from sparkllm.udf.prompt_order import PromptOrder
from sparkllm.udf.remembered import RememberedAnswers
from sparkllm.udf.task import Task
from sparkllm.udf.token_pieces import TokenPieces
from sparkllm.udf.tokens import ChatTokenizer
from sparkllm.udf.window import Answer, Window

__all__ = ["COUNTS", "RESULT", "TEXTS", "Evaluation"]

_ENGINE_COUNTS = ("prompt_tokens", "cached_tokens", "output_tokens")
_PREFIX_COUNTS = ("static_tokens", "cached_data_tokens", "predicted_tokens", "predicted_data_tokens")
_LEDGER_COUNTS = ("ledger_rows", "ledger_prompts")
COUNTS = ("distinct", "requests", *_LEDGER_COUNTS, *_ENGINE_COUNTS, *_PREFIX_COUNTS, "start_ms", "busy_ms")
TEXTS = ("value", "error", "field_order", "detail")
RESULT = pa.struct([*((name, pa.string()) for name in TEXTS), *((name, pa.int32()) for name in COUNTS)])

_SAMPLE_ROWS = 4096  # enough to find the field order of the beer table; more costs time before the first request


@dataclass
class Evaluation:
    """Plans and restores the windows of one call."""

    task: Task
    engine: TaskEngine
    sample: pa.StructArray
    _remembered: RememberedAnswers = field(default_factory=RememberedAnswers)

    def __post_init__(self) -> None:
        self.call = self.task.call
        info = self.engine.info
        config = self.task.config
        chat = Chat.of(config, self.call.held)
        frame = self.engine.frame(chat)
        self.tokenizer = ChatTokenizer.shared(info.tokenizer_json, frame.prefix, frame.suffix, info.max_model_len)
        choices = self.call.choices
        # A label may come in any pieces the tokenizer knows, down to single bytes; the end takes one more token.
        most = self.call.max_tokens or config.max_tokens
        room = max(len(choice.encode()) for choice in choices) + 1 if choices else most
        schema = json_schema(self.call.schema, room) if self.call.schema else ""
        room += most if chat.thinks and chat.held else 0  # for a thought before it
        self._sampling = Sampling(room, config.temperature, choices=choices, json_schema=schema, whole=self.call.whole)
        self._kept = KeptAnswers(self.task, self.engine, self._sampling, frame)
        self.answer_tokens = room
        self._most_prompt_tokens = info.max_model_len - (room if choices else 1)
        # A sampled answer is one of many: two rows with the same prompt get one each.
        self._dedup = config.optimizer_dedup and config.temperature == 0
        self._order = PromptOrder(self.task, self.engine.agree, lambda: self._pieces(self._distinct_sample()))
        self._fails = self.call.on_error == "fail" or (self.call.on_error is None and config.fail_on_error)
        self._said: set[str] = set()
        self._over_budget = ""
        self._restored = time.monotonic()  # the last window, or the engine has just been found
        static, closing = self.tokenizer.opening(static_text(self.call)), closing_text(self.call)
        ends = len(self.tokenizer.closing(closing)) if closing else 0
        self._prefix_counter = PrefixCounter(static, info.block_size, ends)

    def submit(self, fields: pa.StructArray) -> Window:
        """Plan one window (dedup -> ledger -> order -> tokenise) and hand it to the engine."""
        table = _encode(fields, self.call)
        asked = np.flatnonzero((table.codes != NULL).any(axis=1)) if self.call.fields else np.arange(len(fields))
        first, inverse = dedup(table.codes[asked]) if self._dedup else (np.arange(len(asked)),) * 2
        window = self._open(len(fields), asked, first, inverse)
        distinct = table.take(asked[first])
        keys = self._kept.keys(distinct)
        fresh = self._affordable(window, self._not_kept(window, self._not_known(window, keys), keys))
        pieces = self._pieces(distinct.take(fresh))
        rows, orders = self._order.of(pieces)
        beside = self._kept.beside([keys[i] for i in fresh[rows]], orders)
        self._send(window, fresh[rows], pieces.prompts(rows, orders), beside)
        return window

    def token_counts(self, texts: list[str]) -> list[int]:
        """Tokens of each text by itself."""
        return [len(ids) for ids in self.tokenizer.pieces([f" {text}" for text in texts])]

    def _distinct_sample(self) -> Encoded:
        sample = _encode(self.sample.slice(0, _SAMPLE_ROWS), self.call)
        return sample.take(dedup(sample.codes)[0])

    def _pieces(self, table: Encoded) -> TokenPieces:
        return TokenPieces(self.tokenizer, self.call, table, self.task.config.optimizer_tokenize_cells)

    def _open(self, rows: int, asked: np.ndarray, first: np.ndarray, inverse: np.ndarray) -> Window:
        owner = np.full(rows, -1, dtype=np.int64)
        owner[asked] = inverse
        nothing = np.zeros(0, dtype=np.int64)
        return Window(rows, owner, asked[first], [Answer() for _ in first], nothing, nothing, nothing)

    def _not_known(self, window: Window, keys: list[bytes]) -> np.ndarray:
        """The answers of a window that no earlier one has."""
        if not self._dedup:  # a sampled answer is that of one row
            return np.arange(len(keys))
        known = [self._remember(window, i, key) for i, key in enumerate(keys)]
        return np.flatnonzero(~np.array(known, dtype=bool))

    def _not_kept(self, window: Window, fresh: np.ndarray, keys: list[bytes]) -> np.ndarray:
        """Those of the answers in `fresh` that the ledger does not know; it fills in the others."""
        kept = np.zeros(len(fresh), dtype=bool)
        for place, text in self._kept.recall([keys[i] for i in fresh]).items():
            if self._wrong(text) is None:
                answer = window.answers[fresh[place]]
                answer.value, answer.kept, kept[place] = text, True, True
        window.kept = fresh[kept]
        return fresh[~kept]

    def _affordable(self, window: Window, fresh: np.ndarray) -> np.ndarray:
        """Once the query's budget is used up, only the ledger answers; no prompt is made for nothing."""
        if not self._over_budget:
            return fresh
        for i in fresh.tolist():
            window.answers[i].error, window.answers[i].detail = "budget", self._over_budget
        return fresh[:0]

    def _remember(self, window: Window, i: int, key: bytes) -> bool:
        """Take the answer of an earlier window; it may still be under way, but it is restored before this one."""
        known = self._remembered.get(key)
        if known is not None and known.error != "engine_error":  # a failure may pass; what is too long or cut stays so
            window.answers[i] = known
            return True
        self._remembered.put(key, window.answers[i])
        window.remembered.append(key)
        return False

    def _send(self, window: Window, order: np.ndarray, prompts: Sequences, beside: Beside | None) -> None:
        """`prompts` are those of the answers in `order`."""
        fits = prompts.lengths <= self._most_prompt_tokens
        for i, tokens in zip(order[~fits], prompts.lengths[~fits].tolist(), strict=True):
            self._too_long(window.answers[i], tokens)
        window.fresh, window.sent = order, order[fits]
        if fits.any():
            some = np.flatnonzero(fits)
            prompt_ids, beside = prompts.take(some).to_arrow(), beside.take(some) if beside is not None else None
            window.submission = self.engine.submit(prompt_ids, self._sampling, self.task.query, beside, self.task.terms)
            window.prefixes = self._prefix_counter.add(prompt_ids)  # while the engine is at work

    def _too_long(self, answer: Answer, tokens: int) -> None:
        answer.error = "too_long"
        answer.detail = (
            f"the prompt has {tokens:,} or more tokens, the model takes {self._most_prompt_tokens:,} beside its "
            f"answer; give it fewer or shorter fields, or a model with a longer context (spark.sparkllm.maxModelLen)"
        )

    def restore(self, window: Window) -> pa.StructArray:
        """Wait for the engine and lay the answers out in the order of the rows."""
        counts = {name: np.zeros(window.rows, dtype=np.int32) for name in COUNTS}
        counts["distinct"][window.first[window.fresh]] = counts["distinct"][window.first[window.kept]] = 1
        if window.submission is not None:
            self._collect(window, counts)
        self._remembered.came(window.remembered)
        if window.rows:
            counts["start_ms"][0] = round(self.engine.take_started_seconds() * 1000)
            before, self._restored = self._restored, time.monotonic()
            counts["busy_ms"][0] = round((self._restored - before) * 1000)
        return self._lay_out(window, counts)

    def _collect(self, window: Window, counts: dict[str, np.ndarray]) -> None:
        assert window.submission is not None
        assert window.prefixes is not None
        batch = window.submission.result()
        rows = window.first[window.sent]
        kept = batch.column("kept").to_numpy(zero_copy_only=False)
        counts["requests"][rows] = batch.column("asked").to_numpy()
        for name in _ENGINE_COUNTS:
            counts[name][rows] = batch.column(name).to_numpy()
        counted = batch.column("prompt_tokens").to_numpy() > 0  # a request that failed has no tokens to share
        for name, tokens in zip(_PREFIX_COUNTS, window.prefixes.of(counts["cached_tokens"][rows]), strict=True):
            counts[name][rows] = np.where(counted, tokens, 0)
        columns = (batch.column(name).to_pylist() for name in ("text", "error", "truncated", "killed", "over_budget"))
        for i, known, text, error, cut, killed, over in zip(window.sent, kept.tolist(), *columns, strict=True):
            answer = window.answers[i]
            answer.detail = error or self._wrong(text) or ""
            if not answer.detail:
                answer.value, answer.kept = text, known
            else:
                answer.error = (
                    "budget" if over else "truncated" if cut else "engine_killed" if killed else "engine_error"
                )
                self._over_budget = answer.detail if over else self._over_budget

    def _wrong(self, text: str) -> str | None:
        """What is wrong with an answer that the engine let pass, or None."""
        if self.call.choices and text not in self.call.choices:
            return f"the answer {text!r} is none of {list(self.call.choices)}"
        if self.call.schema and not _is_object(text):
            return f"the answer {text!r} is no JSON object"
        return None

    def _lay_out(self, window: Window, counts: dict[str, np.ndarray]) -> pa.StructArray:
        answers = [*window.answers, Answer(error="null_fields", detail="all fields are NULL")]  # owner -1 is the last
        for answer in window.answers:
            if answer.error is not None:
                self.report(answer)
        kept = np.array([a.kept for a in answers], dtype=np.int32)
        counts["ledger_rows"] = kept[window.owner]
        asked = np.concatenate([window.kept, window.sent])  # here, and not in an earlier window
        counts["ledger_prompts"][window.first[asked]] = kept[asked]
        owner = pa.array(np.where(window.owner < 0, len(answers) - 1, window.owner))
        values = pa.array([a.value for a in answers], type=pa.string()).take(owner)
        errors = pa.array([a.error for a in answers], type=pa.string()).take(owner)
        orders = pa.array([self._order.written, *[None] * window.rows][: window.rows], type=pa.string())
        told = self.call.on_error == "struct"  # else nobody reads why, row by row
        details = pa.array([a.detail if told and a.error else None for a in answers], type=pa.string()).take(owner)
        columns = [values, errors, orders, details, *(pa.array(counts[n]) for n in COUNTS)]
        return pa.StructArray.from_arrays(columns, names=RESULT.names)

    def report(self, answer: Answer) -> None:
        """A row without an answer is NULL; say why, once for each reason and task."""
        if answer.error == "budget" and self.task.config.on_budget == "fail":
            raise BudgetError(f"{answer.detail}; spark.sparkllm.onBudget=null gives NULL for the rest instead")
        if answer.error != "budget" and self._fails:
            instead = "on_error => 'null'" if self.call.on_error else "set spark.sparkllm.failOnError=false"
            raise RowError(f"{answer.detail}; {instead} for NULL instead")
        if answer.error not in self._said:
            self._said.add(str(answer.error))
            print(f"sparkllm: NULL for a row ({answer.error}): {answer.detail}", file=sys.stderr)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _encode(fields: pa.StructArray, call: LLMCall) -> Encoded:
    columns = [fields.field(i) for i in range(len(call.fields))]
    return encode(columns, len(fields))
