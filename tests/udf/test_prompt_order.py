"""One field order for all rows of a query, or one for each, as the core loop asks for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.udf.test_evaluation import FREE, Engine, batches, engine, laid_out, run

__all__ = ["engine"]

# Half of the rows share a long title, the others a long text: no one order serves both.
TITLES = ["one and the same long title of many words"] * 6 + [f"{i}" for i in range(6)]
TEXTS = [f"{i}" for i in range(6)] + ["one and the same long text of many words"] * 6
EITHER = [a for pair in zip(TITLES[:6], TITLES[6:], strict=True) for a in pair]
OR = [b for pair in zip(TEXTS[:6], TEXTS[6:], strict=True) for b in pair]


def ordered(wanted: str | None, *columns: list, beside: str = "", **settings: Any) -> list[dict]:
    call = json.dumps(json.loads(FREE) | {"order": wanted})
    source = batches(call, *columns, **settings)
    return run(laid_out(source, beside) if beside else source)


def first_names(engine: Engine) -> list[str]:
    """The field that stands first in each prompt, in the order in which they were sent."""
    tokenizer = Tokenizer.from_str(engine.info.tokenizer_json)
    return [tokenizer.decode(ids).split('{"')[1][0] for ids in engine.asked]


def test_each_row_gets_the_order_that_serves_it(engine: Engine) -> None:
    rows = ordered("rows+fields", EITHER, OR)
    assert sorted(first_names(engine)) == ["a"] * 6 + ["b"] * 6
    assert first_names(engine) in (["a"] * 6 + ["b"] * 6, ["b"] * 6 + ["a"] * 6)
    assert (rows[0]["field_order"], len(rows)) == ("rows+fields", 12)


def test_one_order_serves_all_rows_by_default(engine: Engine) -> None:
    ordered(None, EITHER, OR)
    assert len(set(first_names(engine))) == 1


def test_the_setting_stands_where_the_call_says_nothing(engine: Engine) -> None:
    ordered(None, EITHER, OR, order="rows+fields")
    assert len(set(first_names(engine))) == 2
    engine.asked.clear()
    ordered("fixed", EITHER, OR, order="rows+fields")
    assert len(set(first_names(engine))) == 1


def test_auto_gives_each_row_an_order_where_that_shares_more(engine: Engine) -> None:
    ordered("auto", EITHER, OR)
    assert len(set(first_names(engine))) == 2
    assert set(engine.agreed.values()) == {"0,1", "True"}


def test_auto_keeps_one_order_where_another_shares_no_more(engine: Engine) -> None:
    ordered("auto", TITLES[:6], TEXTS[:6])
    assert len(set(first_names(engine))) == 1
    assert "False" in engine.agreed.values()


def test_auto_does_in_all_tasks_what_the_first_has_found(engine: Engine) -> None:
    ordered("auto", EITHER, OR)
    rows = ordered("auto", TITLES[:6], TEXTS[:6])
    assert rows[0]["field_order"] == "rows+fields"


def test_the_plans_order_stands_beside_which_auto_compares(engine: Engine) -> None:
    ordered("auto", EITHER, OR, beside="1,0")
    assert list(engine.agreed.values()) == ["True"]


@pytest.mark.parametrize("settings", [{"optimizer.orderFields": False}, {"optimizer.orderRows": False}])
def test_the_rules_can_be_switched_off(engine: Engine, settings: dict) -> None:
    ordered("rows+fields", EITHER, OR, **settings)
    assert len(set(first_names(engine))) == 1


def test_data_that_another_call_shares_keeps_its_order(engine: Engine) -> None:
    engine.info.cache_tokens = 0
    ordered("rows+fields", EITHER, OR, beside="1,0;data first")
    assert set(first_names(engine)) == {"b"}


def test_fields_of_the_instruction_stay_in_front(engine: Engine) -> None:
    call = {"task": None, "prompt": "Is {c} good?", "fields": ["a", "b", "c"], "order": "rows+fields"}
    kinds = ["tea", "milk"] * 6
    run(batches(json.dumps(call), EITHER, OR, kinds))
    tokenizer = Tokenizer.from_str(engine.info.tokenizer_json)
    said = [tokenizer.decode(ids).split("?")[0] for ids in engine.asked]
    assert said == sorted(said, key=said.index)
    assert len(set(said)) == 2


@pytest.mark.parametrize("settings", [{}, {"optimizer.orderFields": False}])
def test_rows_are_sorted_by_the_fields_of_the_instruction_first(engine: Engine, settings: dict) -> None:
    call = {"task": None, "prompt": "Is {b} good?", "fields": ["a", "b"]}
    run(batches(json.dumps(call), [f"{i}" for i in range(6)], ["tea", "milk"] * 3, **settings))
    tokenizer = Tokenizer.from_str(engine.info.tokenizer_json)
    said = [tokenizer.decode(ids).split("?")[0] for ids in engine.asked]
    assert said == ['Is "milk" good'] * 3 + ['Is "tea" good'] * 3


def test_a_row_is_asked_once_though_another_window_would_order_its_fields_otherwise(engine: Engine) -> None:
    again = ["one and the same long title of many words", *TITLES[6:]], ["0", *TEXTS[6:]]
    rows = ordered("rows+fields", TITLES[:6] + again[0], TEXTS[:6] + again[1], windowRows=6, maxWindowRows=7)
    assert len(rows) == 13
    assert len(engine.asked) == 12
    assert {row["value"] for row in rows} == {"neutral"}
