"""max_tokens, on_error and order of one call, as the core loop keeps them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sparkllm.backend.engine import Sampling
from sparkllm.errors import RowError
from sparkllm.udf.answer_keys import question
from sparkllm.udf.task import Task
from tests.udf.test_evaluation import CLASSIFY, FREE, TYPED, Engine, batches, engine, run, texts
from tests.udf.test_prompt_order import EITHER, OR, first_names, ordered

__all__ = ["engine"]


def with_options(call: str, **options: object) -> str:
    return json.dumps(json.loads(call) | options)


def test_a_call_has_its_own_limit_of_tokens(engine: Engine) -> None:
    run(batches(with_options(FREE, max_tokens=7), ["x"], ["y"], maxTokens=99))
    assert engine.sampling is not None
    assert engine.sampling.max_tokens == 7
    run(batches(with_options(CLASSIFY, max_tokens=1), ["x"]))
    assert engine.sampling.max_tokens == len("negative") + 1  # a label is never cut


def test_another_limit_of_tokens_is_another_question_to_the_ledger(engine: Engine) -> None:
    for tokens in (7, 7, 8):
        run(batches(with_options(FREE, max_tokens=tokens), ["x"], ["y"], ledger="on"))
    assert len(engine.ledger) == 2


def test_a_whole_text_and_one_that_may_be_cut_are_two_questions_to_the_ledger() -> None:
    call = Task.from_request(json.dumps({"call": json.loads(FREE), "conf": {}, "application": "app"})).call
    assert question(call, "f", Sampling()) != question(call, "f", Sampling(whole=True))
    assert "whole" not in Sampling().to_json()  # as it was when nobody asked for it
    assert Sampling.from_json(Sampling(whole=True).to_json()).whole


@pytest.mark.parametrize(("on_error", "setting", "fails"), [("fail", False, True), ("null", True, False),
                                                            ("struct", True, False), (None, True, True)])  # fmt: skip
def test_a_call_says_itself_what_a_row_without_an_answer_is(
    engine: Engine, on_error: str | None, setting: bool, fails: bool
) -> None:
    engine.info.max_model_len = 64
    source = batches(with_options(CLASSIFY, on_error=on_error), ["short", "long " * 100], failOnError=setting)
    if fails:
        with pytest.raises(RowError, match="on_error => 'null' for NULL" if on_error else "failOnError=false for NULL"):
            run(source)
    else:
        assert [row["error"] for row in run(source)] == [None, "too_long"]


def test_only_a_call_that_tells_errors_has_their_details(engine: Engine) -> None:
    engine.text, engine.truncated = None, True
    rows = run(batches(with_options(TYPED, on_error="struct"), ["x", None]))
    assert [(row["error"], row["detail"]) for row in rows] == [
        ("truncated", "no answer"), ("null_fields", "all fields are NULL"),
    ]  # fmt: skip
    assert [row["detail"] for row in run(batches(TYPED, ["x", None]))] == [None, None]


def test_rows_keeps_the_fields_and_sorts_the_rows(engine: Engine) -> None:
    ordered("rows", ["1", "2", "1"], ["long long", "long long", "other"])
    assert first_names(engine) == ["a", "a", "a"]
    assert '"a": "2"' not in texts(engine)[1]  # the two rows of 1 stand together
    assert engine.agreed == {}


def test_off_keeps_fields_and_rows_as_they_come(engine: Engine) -> None:
    asked: list[tuple[str | None, dict[str, Any]]] = [("off", {}), (None, {"order": "off"})]
    for wanted, settings in asked:
        engine.asked.clear()
        rows = ordered(wanted, ["b", "a", "b"], ["1", "2", "3"], **settings)
        came = list(engine.asked)
        engine.asked.clear()
        unsorted: dict[str, Any] = {"optimizer.orderRows": False}
        ordered("off", ["b", "a", "b"], ["1", "2", "3"], **unsorted)
        assert (came, rows[0]["field_order"]) == (engine.asked, "0,1")
    engine.asked.clear()
    ordered("rows", ["b", "a", "b"], ["1", "2", "3"])
    assert engine.asked != came
    assert sorted(engine.asked) == sorted(came)


def test_fields_is_one_order_for_all_rows(engine: Engine) -> None:
    ordered("fields", EITHER, OR, order="rows+fields")
    assert len(set(first_names(engine))) == 1
