"""The core loop's own logic, with an engine that answers at once and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from types import SimpleNamespace

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from sparkllm.backend.chat import Chat, Frame
from sparkllm.backend.control.budget import Terms
from sparkllm.backend.cores import usable_cores
from sparkllm.backend.engine import Sampling
from sparkllm.backend.ledger.exchange import Beside
from sparkllm.backend.ledger.settings import LedgerSettings
from sparkllm.errors import BudgetError, ConfigError, RowError
from sparkllm.udf import arrow
from sparkllm.udf.evaluation import RESULT

Batches = Iterator[tuple[pa.Array, ...]]

CLASSIFY = '{"task": "classify", "prompt": null, "fields": ["review"], "labels": null, "model": null}'
FREE = '{"task": null, "prompt": "Is it good?", "fields": ["a", "b"], "labels": null, "model": null}'
TYPED = json.dumps(
    {"task": None, "prompt": "Who wrote it?", "fields": ["a"]}
    | {"schema": '{"type":"struct","fields":[{"name":"name","type":"string","nullable":true,"metadata":{}}]}'}
)
CONSTANT = '{"task": null, "prompt": "Say hello.", "fields": [], "labels": null, "model": null}'
CONTROL = {"location": "grpc+tcp://driver:1", "token": "0123456789"}


class Engine:
    """Answers every prompt with the same text; keeps the prompts."""

    def __init__(self, text: str | None = "neutral", context: int = 2048) -> None:
        model = resources.files("sparkllm").joinpath("demo", "model", "tokenizer.json")
        self.info = SimpleNamespace(
            tokenizer_json=model.read_text(encoding="utf-8"),
            chat_prefix="",
            chat_suffix="",
            max_model_len=context,
            block_size=16,
            fingerprint="a model",
        )
        self.text, self.chat = text, Chat()
        self.asked: list[list[int]] = []
        self.cancelled = 0
        self.agreed: dict[str, str] = {}
        self.held = 0
        self.truncated = self.killed = self.over_budget = False
        self.sampling: Sampling | None = None
        self.ledger: dict[bytes, str] = {}
        self.field_orders: list[str] = []

    def frame(self, chat: Chat) -> Frame:
        self.chat = chat
        return Frame(chat.system, "")

    def agree(self, key: str, proposal: str) -> str:
        return self.agreed.setdefault(key, proposal)

    @contextmanager
    def hold(self, terms: Terms | None) -> Iterator[None]:
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1

    def take_started_seconds(self) -> float:
        return 0.0

    def recall(self, ledger: LedgerSettings, keys: list[bytes], query: str) -> dict[int, str]:
        return {place: self.ledger[key] for place, key in enumerate(keys) if key in self.ledger}

    def faults(self) -> tuple[int, bool]:
        return 0, False

    def submit(
        self,
        ids: pa.ListArray,
        sampling: Sampling,
        query: str,
        beside: Beside | None,
        terms: Terms | None,
        restart: object,
    ) -> SimpleNamespace:
        self.sampling = sampling
        self.asked += ids.to_pylist()
        if beside is not None:
            self.ledger |= dict.fromkeys(beside.keys.to_pylist(), self.text or "")
            self.field_orders += beside.field_orders.to_pylist()
        return SimpleNamespace(wait=lambda _: True, result=lambda: self.answers(len(ids)), cancel=self.cancel)

    def cancel(self) -> None:
        self.cancelled += 1

    def answers(self, n: int) -> pa.RecordBatch:
        cached = pa.array([32] * n, type=pa.int32())
        error = None if self.text is not None else "no answer"
        counts = pa.array([1] * n, type=pa.int32())
        texts, errors = pa.array([self.text] * n, type=pa.string()), pa.array([error] * n, type=pa.string())
        names = ["text", "error", "prompt_tokens", "cached_tokens", "output_tokens", "truncated", "kept"]
        cut, kept, killed, over = (
            pa.array([flag] * n) for flag in (self.truncated, False, self.killed, self.over_budget)
        )
        columns = [
            texts,
            errors,
            counts,
            cached,
            counts,
            cut,
            kept,
            pa.array([int(not self.over_budget)] * n),
            killed,
            over,
        ]
        return pa.RecordBatch.from_arrays(columns, names=[*names, "asked", "killed", "over_budget"])


def batches(call: str, *columns: list, size: int = 1000, **settings: object) -> Batches:
    arrays = [pa.array(column, type=pa.string()) for column in columns]
    settings = {"ledger": "off"} | settings
    conf = {f"spark.sparkllm.{key}": str(value).lower() for key, value in settings.items()}
    request = json.dumps({"call": json.loads(call), "conf": conf, "application": "app", "control": CONTROL})
    whole = pa.StructArray.from_arrays(arrays, names=[f"f{i}" for i in range(len(arrays))])
    for start in range(0, len(whole), size):
        part = whole.slice(start, size)
        yield pa.array([request] * len(part)), part


def laid_out(source: Batches, beside: str) -> Batches:
    """The same rows with what a plan that has placed them puts beside each."""
    for requests, rows in source:
        yield requests, rows, pa.array([beside] * len(rows))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    fake = Engine()
    monkeypatch.setattr(arrow, "connect", lambda *_: fake)
    return fake


def run(source: Batches) -> list[dict]:
    return [row for array in arrow.evaluate(source) for row in array.cast(RESULT).to_pylist()]


def test_equal_prompts_are_asked_once_across_windows(engine: Engine) -> None:
    rows = run(batches(CLASSIFY, ["x", "y"] * 50, size=7, windowRows=5, maxWindowRows=9))
    assert (len(rows), len(engine.asked)) == (100, 2)
    assert (sum(r["distinct"] for r in rows), sum(r["requests"] for r in rows)) == (2, 2)
    assert {r["value"] for r in rows} == {"neutral"}


def test_the_first_row_of_a_window_tells_the_field_order_that_was_used(engine: Engine) -> None:
    rows = run(batches(FREE, [f"{i}" for i in range(8)], ["same"] * 8, windowRows=4, maxWindowRows=4))
    assert [r["field_order"] for r in rows] == ["1,0", None, None, None] * 2
    template = FREE.replace("Is it good?", "Is {a} good?")
    assert run(batches(template, ["x"], ["y"]))[0]["field_order"] == "0,1"


def test_without_dedup_every_row_is_asked(engine: Engine) -> None:
    run(batches(CLASSIFY, ["x"] * 10, **{"optimizer.dedup": False}))
    assert len(engine.asked) == 10


def test_sampled_answers_are_not_shared(engine: Engine) -> None:
    run(batches(CLASSIFY, ["x"] * 10, temperature=1.0))
    assert len(engine.asked) == 10


def test_rows_of_nulls_are_not_asked(engine: Engine) -> None:
    rows = run(batches(FREE, [None, "x", None], [None, None, "y"]))
    assert [r["error"] for r in rows] == ["null_fields", None, None]
    assert len(engine.asked) == 2


def test_a_call_without_fields_is_asked_once(engine: Engine) -> None:
    rows = run(batches(CONSTANT, [None] * 20))
    assert (len(engine.asked), {r["value"] for r in rows}) == (1, {"neutral"})


def test_a_prompt_that_is_too_long_is_not_sent(engine: Engine) -> None:
    engine.info.max_model_len = 64
    rows = run(batches(CLASSIFY, ["short", "long " * 100]))
    assert [r["error"] for r in rows] == [None, "too_long"]
    assert len(engine.asked) == 1


def test_a_failed_prompt_is_tried_again_in_a_later_window(engine: Engine) -> None:
    engine.text = None
    rows = run(batches(CLASSIFY, ["x"] * 12, windowRows=2, maxWindowRows=2))
    assert {r["error"] for r in rows} == {"engine_error"}
    assert 1 < len(engine.asked) <= 6


def test_an_answer_that_is_no_label_is_an_error(engine: Engine) -> None:
    engine.text = "maybe"
    assert run(batches(CLASSIFY, ["x"]))[0]["error"] == "engine_error"


def test_a_typed_answer_is_json_text(engine: Engine) -> None:
    engine.text = '{"name": "Ann"}'
    assert [r["value"] for r in run(batches(TYPED, ["x", "x"]))] == ['{"name": "Ann"}'] * 2
    assert engine.sampling is not None
    assert json.loads(engine.sampling.json_schema)["required"] == ["name"]


@pytest.mark.parametrize("text", ['{"name": "An', "[1]", "Ann", '{"name": "a\nb"}'])
def test_a_typed_answer_that_is_no_json_object_is_an_error(engine: Engine, text: str) -> None:
    engine.text = text
    row = run(batches(TYPED, ["x"]))[0]
    assert (row["value"], row["error"]) == (None, "engine_error")


def test_an_answer_that_was_cut_has_its_own_reason_and_is_not_asked_for_again(engine: Engine) -> None:
    engine.text, engine.truncated = None, True
    rows = run(batches(TYPED, ["x"] * 12, windowRows=2, maxWindowRows=2))
    assert {r["error"] for r in rows} == {"truncated"}
    assert len(engine.asked) == 1


def test_a_row_that_kills_the_engine_has_its_own_reason_and_is_not_asked_for_again(engine: Engine) -> None:
    engine.text, engine.killed = None, True
    rows = run(batches(CLASSIFY, ["x"] * 12, windowRows=2, maxWindowRows=2))
    assert {(r["value"], r["error"]) for r in rows} == {(None, "engine_killed")}
    assert len(engine.asked) == 1


def test_when_the_budget_is_used_up_the_rest_is_null_and_not_asked(engine: Engine) -> None:
    engine.text, engine.over_budget = None, True
    rows = run(batches(CLASSIFY, [f"x{i}" for i in range(100)], windowRows=2, maxWindowRows=2, failOnError=True))
    assert {(r["value"], r["error"], r["requests"]) for r in rows} == {(None, "budget", 0)}
    assert len(engine.asked) == 4  # two windows were under way


def test_the_ledger_still_answers_when_the_budget_is_used_up(engine: Engine) -> None:
    run(batches(CLASSIFY, ["known"], ledger="on"))
    engine.text, engine.over_budget = None, True
    texts = ["a", "b", "c", "d", "known"]
    rows = run(batches(CLASSIFY, texts, ledger="on", windowRows=1, maxWindowRows=1))
    assert [r["error"] for r in rows] == ["budget"] * 4 + [None]


def test_a_budget_can_fail_the_query_instead(engine: Engine) -> None:
    engine.text, engine.over_budget = None, True
    with pytest.raises(BudgetError, match=r"no answer; spark\.sparkllm\.onBudget=null gives NULL"):
        run(batches(CLASSIFY, ["x"], onBudget="fail"))


def test_a_budget_without_a_channel_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.udf.test_evaluation.CONTROL", None)
    with pytest.raises(ConfigError, match=r"takes the driver's control channel, found none.*Spark Connect"):
        run(batches(CLASSIFY, ["x"], maxCalls=5))
    assert run(batches(CLASSIFY, ["x"]))[0]["value"] == "neutral"


def test_a_limit_of_cost_takes_a_price(engine: Engine) -> None:
    with pytest.raises(ConfigError, match=r"maxCost=2 takes the price of an engine's hour.*costPerHour"):
        run(batches(CLASSIFY, ["x"], maxCost=2))


def test_fail_on_error_raises_with_the_reason(engine: Engine) -> None:
    engine.info.max_model_len = 64
    with pytest.raises(RowError, match="tokens, the model takes"):
        run(batches(CLASSIFY, ["long " * 100], failOnError=True))


def test_what_a_limit_leaves_unread_is_cancelled(engine: Engine) -> None:
    answers = arrow.evaluate(batches(CLASSIFY, [f"r{i}" for i in range(100)], windowRows=2, maxWindowRows=2))
    next(answers)
    assert engine.held == 1
    answers.close()  # type: ignore[attr-defined]
    assert (engine.cancelled, engine.held) == (1, 0)
    assert len(engine.asked) == 4  # two windows were under way, no more


def test_rows_that_share_a_prefix_are_sent_one_after_the_other(engine: Engine) -> None:
    long = ["an expensive long value"] * 2 + ["some other long value"] * 2
    run(batches(FREE, ["1", "2", "3", "4"], [long[0], long[2], long[1], long[3]]))

    def shared(a: list[int], b: list[int]) -> int:
        return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))

    first, second, third, fourth = engine.asked
    assert min(shared(first, second), shared(third, fourth)) > shared(second, third)


def test_all_tasks_of_a_query_use_the_field_order_of_the_first(engine: Engine) -> None:
    run(batches(FREE, ["1", "2", "3"], ["long long long"] * 3))
    run(batches(FREE, ["long long long"] * 3, ["1", "2", "3"]))
    assert list(engine.agreed.values()) == ["1,0"]


def texts(engine: Engine) -> list[str]:
    """What the engine was asked, as text."""
    tokenizer = Tokenizer.from_str(engine.info.tokenizer_json)
    return [tokenizer.decode(ids) for ids in engine.asked]


def test_the_layout_that_stands_beside_the_rows_is_that_of_the_prompts(engine: Engine) -> None:
    engine.info.cache_tokens = 0
    run(laid_out(batches(FREE, ["1"], ["2"]), "1,0"))
    run(laid_out(batches(FREE, ["1"], ["2"]), "1,0;data first"))
    assert texts(engine) == ['Is it good?\n\n{"b": "2", "a": "1"}', '{"b": "2", "a": "1"}\n\nIs it good?']


def test_windows_are_no_larger_than_the_cache_can_keep_for_the_next_call(engine: Engine) -> None:
    engine.info.cache_tokens = 4 * usable_cores() * 10 * 100  # ten rows of 100 tokens, answers included
    columns = ["x" * 300 + str(i) for i in range(60)], ["y"] * 60
    for beside, first_window in (("0,1;data first", range(5, 11)), ("0,1", range(60, 61))):
        engine.asked, sizes = [], []
        for answers in arrow.evaluate(laid_out(batches(FREE, *columns, maxTokens=1), beside)):
            sizes.append(len(answers))
        assert sizes[0] in first_window
        assert sum(sizes) == 60


FOLLOWS = json.dumps(json.loads(FREE) | {"data_first": {"from_bytes": 100, "follows": True}})


def test_what_an_earlier_call_has_sent_is_predicted_to_be_cached(engine: Engine) -> None:
    engine.info.cache_tokens = 0
    columns = [f"{i} different words in every row of this table" for i in range(3)], ["x"] * 3
    first, second = (
        [row["predicted_tokens"] for row in run(laid_out(batches(call, *columns), "0,1;data first"))]
        for call in (FREE, FOLLOWS)
    )
    assert first == [0, 0, 0]
    assert min(second) >= 16
    assert all(tokens % 16 == 0 for tokens in second)


def test_no_rows_need_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "connect", lambda *_: pytest.fail("an engine was started for an empty table"))
    assert run(iter([])) == []
    assert run(batches(CLASSIFY, [])) == []


def test_hits_of_the_instruction_are_no_hits_of_the_data(engine: Engine) -> None:
    rows = run(batches(CLASSIFY, ["x", "y", "x"]))
    static = {row["static_tokens"] for row in rows if row["requests"]}
    assert len(static) == 1
    assert {row["cached_data_tokens"] for row in rows if row["requests"]} == {max(0, 32 - static.pop())}
    assert rows[2]["cached_tokens"] == 0  # it was not asked


def test_a_repeated_beginning_is_predicted_to_be_cached(engine: Engine) -> None:
    rows = run(batches(FREE, ["the same long beginning of a row " * 5] * 3, ["1", "2", "3"]))
    first, *others = sorted(row["predicted_tokens"] for row in rows)
    assert (first, len(set(others))) == (0, 1)
    assert others[0] % 16 == 0
    assert others[0] > rows[0]["static_tokens"]


def test_a_setting_that_is_misspelt_fails_the_query(engine: Engine) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'spark\.sparkllm\.maxTokens'"):
        run(batches(CLASSIFY, ["x"], maxToken=3))


def test_calls_say_how_they_are_framed(engine: Engine) -> None:
    run(batches(FREE, ["a"], ["b"], systemPrompt=" Be brief. ", thinking="on", maxTokens=40))
    assert (engine.chat, engine.sampling) == (Chat("be brief.", "on", held=False), Sampling(40))


@pytest.mark.parametrize("call", [CLASSIFY, TYPED])
def test_a_thought_before_an_answer_that_is_held_has_room_of_its_own(engine: Engine, call: str) -> None:
    tokens = []
    for thinking in ("auto", "on"):
        run(batches(call, ["a"], thinking=thinking, maxTokens=40))
        assert engine.chat.held
        assert engine.sampling is not None
        tokens.append(engine.sampling.max_tokens)
    assert tokens[1] - tokens[0] == 40
