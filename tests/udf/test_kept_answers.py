"""What a task has to do with the ledger: keys that hold whatever the order, and no question twice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from sparkllm.backend.chat import Frame
from sparkllm.backend.engine import Sampling
from sparkllm.calls import LLMCall
from sparkllm.optimizer.encode import encode
from sparkllm.udf.answer_keys import answer_keys, question
from tests.udf.test_evaluation import CLASSIFY, FREE, Engine, batches, engine, run

__all__ = ["engine"]  # the fixture

CALL = LLMCall(None, "Is it good?", ("a", "b"))
ON: dict[str, Any] = {"ledger": "/ledger"}


def keys(*columns: list[str | None], call: LLMCall = CALL, model: str = "m", **sampling: object) -> list[bytes]:
    asked = question(call, model, Sampling(**sampling))  # type: ignore[arg-type]
    return answer_keys(asked, encode([pa.array(column, pa.string()) for column in columns], len(columns[0])))


def test_a_row_has_the_same_key_wherever_it_stands() -> None:
    rows = [("x", "1"), ("y", None), (None, "1"), ("x", "2")]
    forward, backward = (keys(*map(list, zip(*some, strict=True))) for some in (rows, rows[::-1]))
    assert forward == backward[::-1]
    assert len(set(forward)) == 4


def test_values_belong_to_their_fields() -> None:
    assert keys(["x"], ["y"]) != keys(["y"], ["x"])
    assert keys(["xy"], ["z"]) != keys(["x"], ["yz"])
    assert keys(["x"], [None]) != keys(["x"], [""])


CHANGES = [
    {"call": replace(CALL, prompt="Is it bad?")},
    {"call": replace(CALL, fields=("a", "c"))},
    {"call": replace(CALL, labels=("yes", "no"))},
    {"call": replace(CALL, data_first=True)},
    {"model": "another"},
    {"max_tokens": 7},
    {"choices": ("yes", "no")},
    {"json_schema": "{}"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_whatever_may_change_an_answer_changes_its_key(change: dict) -> None:
    assert keys(["x"], ["y"], **change) != keys(["x"], ["y"])


def test_what_changes_no_answer_leaves_the_key() -> None:
    """The model's own fingerprint stands for its name; who orders fields how is not the answer's business."""
    same = replace(CALL, model="demo", order="rows+fields", follows=True)
    assert keys(["x"], ["y"], call=same) == keys(["x"], ["y"])


def test_the_same_rows_in_another_order_ask_for_nothing(engine: Engine) -> None:
    rows = [(f"review {i}", f"{i % 3}") for i in range(40)]
    first = run(batches(FREE, *map(list, zip(*rows, strict=True)), windowRows=8, **ON))
    asked, engine.text = len(engine.asked), "not asked"
    engine.agreed.clear()  # another query, which may choose another field order
    second = run(batches(FREE, *map(list, zip(*rows[::-1], strict=True)), windowRows=5, **ON))
    assert (asked, len(engine.asked)) == (40, 40)
    assert [row["value"] for row in first] == [row["value"] for row in second] == ["neutral"] * 40
    assert [sum(row[name] for row in second) for name in ("distinct", "requests", "prompt_tokens")] == [40, 0, 0]


@pytest.mark.parametrize("order", ["fixed", "auto", "rows+fields"])
def test_a_window_that_is_known_as_a_whole_needs_no_order(engine: Engine, order: str) -> None:
    columns = [f"a {i % 3}" for i in range(20)], [f"b {i}" for i in range(20)]
    for _ in range(2):
        rows = run(batches(FREE, *columns, order=order, **ON))
        assert {row["value"] for row in rows} == {"neutral"}
    assert len(engine.asked) == 20


def test_only_what_is_new_is_asked_for(engine: Engine) -> None:
    run(batches(CLASSIFY, ["a", "b"], **ON))
    rows = run(batches(CLASSIFY, ["b", "c", "b", "a", "c"], windowRows=3, **ON))
    assert len(engine.asked) == 3
    assert sum(row["requests"] for row in rows) == 1
    assert [row["ledger_rows"] for row in rows] == [1, 0, 1, 1, 0]
    assert sum(row["ledger_prompts"] for row in rows) == 2


def test_the_field_order_of_each_prompt_goes_with_its_key(engine: Engine) -> None:
    columns = [f"{i}" for i in range(8)], ["the same"] * 8
    run(batches(FREE, *columns, **ON))
    assert engine.field_orders == ["1,0"] * 8
    run(batches(FREE.replace("good", "bad"), *columns, order="rows+fields", **ON))
    assert {tuple(sorted(order.split(","))) for order in engine.field_orders[8:]} == {("0", "1")}


FRAMES = [{"systemPrompt": "Be brief."}, {"systemPrompt": "Be kind."}]


@pytest.mark.parametrize("settings", FRAMES, ids=json.dumps)
def test_another_system_prompt_is_another_question(engine: Engine, settings: dict) -> None:
    for more in ({}, settings, settings, {}):
        run(batches(FREE, ["a"], ["b"], **more, **ON))
    assert len(engine.asked) == 2
    assert len(set(map(tuple, engine.asked))) == 2


def test_answers_from_before_thoughts_were_cut_are_not_taken_for_free_texts(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call, columns, requests in ((FREE, (["a"], ["b"]), 2), (CLASSIFY, (["a"],), 1)):
        engine.asked.clear()
        for cut in ("", "</think>", "</think>"):
            monkeypatch.setattr(engine, "frame", lambda chat, cut=cut: Frame("", "", cut="" if chat.held else cut))
            run(batches(call, *columns, **ON))
        assert len(engine.asked) == requests


OFF: list[dict[str, Any]] = [{"ledger": "off"}, {"temperature": 1.0} | ON, {"optimizer.dedup": False} | ON]


@pytest.mark.parametrize("settings", OFF, ids=json.dumps)
def test_off_sampled_and_without_dedup_nothing_is_kept_and_nothing_recalled(engine: Engine, settings: dict) -> None:
    for _ in range(2):
        run(batches(CLASSIFY, ["x"], **settings))
    assert (len(engine.asked), engine.ledger) == (2, {})


def test_an_engine_that_does_not_say_what_it_is_keeps_nothing(engine: Engine) -> None:
    engine.info.fingerprint = ""
    run(batches(CLASSIFY, ["x"], **ON))
    assert engine.ledger == {}


def test_an_answer_of_the_ledger_that_is_no_label_is_asked_for_again(engine: Engine) -> None:
    run(batches(CLASSIFY, ["x"], **ON))
    engine.ledger = dict.fromkeys(engine.ledger, "maybe")
    assert run(batches(CLASSIFY, ["x"], **ON))[0]["value"] == "neutral"
