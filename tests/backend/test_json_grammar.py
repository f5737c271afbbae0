"""The grammar of typed answers, as xgrammar reads it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from tokenizers import Tokenizer

from sparkllm.backend.json_grammar import json_grammar

xgrammar = pytest.importorskip("xgrammar")
Accepts = Callable[[dict[str, Any], str], bool]


@pytest.fixture(scope="module")
def vocabulary() -> list[str]:
    path = resources.files("sparkllm").joinpath("demo", "model", "tokenizer.json")
    tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    return [tokenizer.id_to_token(i) or "" for i in range(tokenizer.get_vocab_size())]


@pytest.fixture(scope="module")
def compiler(vocabulary: list[str]) -> Any:
    tokens = xgrammar.TokenizerInfo(vocabulary, xgrammar.VocabType.BYTE_LEVEL, stop_token_ids=[0])
    return xgrammar.GrammarCompiler(tokens)


@pytest.fixture(scope="module")
def accepts(compiler: Any) -> Accepts:
    def ask(schema: dict[str, Any], text: str) -> bool:
        grammar = compiler.compile_grammar(json_grammar(schema))
        matcher = xgrammar.GrammarMatcher(grammar, terminate_without_stop_token=True)
        return bool(matcher.accept_string(text) and matcher.is_terminated())

    return ask


def whole(most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": -most - 1, "maximum": most}


@pytest.mark.parametrize("most", [127, 32767, 2**31 - 1, 2**63 - 1])
def test_integers_end_at_the_bounds_of_their_type(accepts: Accepts, most: int) -> None:
    inside = [0, 1, -1, 9, 10, 99, 100, most - 1, most, -most, most // 10, most // 10 * 9]
    assert [n for n in inside if not accepts(whole(most), str(n))] == []
    assert [t for t in (str(most + 1), str(most * 10), "01", "1.5", "+1", "", "-") if accepts(whole(most), t)] == []


def test_every_small_integer_is_judged_rightly(accepts: Accepts) -> None:
    schema = whole(127)
    assert [n for n in range(-200, 201) if accepts(schema, str(n)) != (-127 <= n <= 127)] == []


TEXTS = ["", "plain", 'say "hi"', "two\nlines\ttab", "back\\slash", "日本語 é 🍺", "{'a': [1]}", "x" * 40]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_can_be_said(accepts: Accepts, text: str) -> None:
    assert accepts({"type": "string", "maxLength": 40}, json.dumps(text, ensure_ascii=False))


@pytest.mark.parametrize("text", ['"' + "x" * 41 + '"', '"a\nb"', '"a\tb"', '"\\x"', '"open', 'x"', '"a"b"'])
def test_a_text_is_bounded_and_valid_json(accepts: Accepts, text: str) -> None:
    assert not accepts({"type": "string", "maxLength": 40}, text)


def test_escapes_are_bounded_too(accepts: Accepts) -> None:
    schema = {"type": "string", "maxLength": 40}
    assert accepts(schema, '"' + "\\n" * 2 + '"')
    assert not accepts(schema, '"' + "\\n" * 3 + '"')


def test_numbers_are_bounded(accepts: Accepts) -> None:
    free, price = {"type": "number"}, {"type": "number", "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}
    share = {"type": "number", "exclusiveMinimum": -1, "exclusiveMaximum": 1}
    assert [t for t in ("0", "-1.5", "6.02e23", "1E-9", "1" * 15, "0.123456789") if not accepts(free, t)] == []
    assert [t for t in ("1" * 16, "1.", ".5", "01", "NaN", "0.1234567891", "1e100") if accepts(free, t)] == []
    assert [accepts(price, t) for t in ("999.99", "-999", "1000", "1e3")] == [True, True, False, False]
    assert [accepts(share, t) for t in ("0.5", "0", "1")] == [True, True, False]


def test_dates_are_days_of_their_month(accepts: Accepts) -> None:
    schema = {"type": "string", "format": "date"}
    good, bad = ("2024-02-29", "2023-12-31", "1999-04-30"), ("2024-02-30", "2024-04-31", "2024-13-01", "2024-1-1", "")
    assert [accepts(schema, f'"{t}"') for t in good] == [True] * 3
    assert [accepts(schema, f'"{t}"') for t in bad] == [False] * 5


def test_lists_and_objects_are_written_as_python_does(accepts: Accepts) -> None:
    items = {"type": "array", "items": {"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "maxItems": 2}
    schema = {"type": "object", "properties": {'ä "x" {': items, "b": items}}
    for value in ([], [True], [False, None]):
        assert accepts(schema, json.dumps({'ä "x" {': value, "b": []}, ensure_ascii=False))
    assert not accepts(schema, json.dumps({'ä "x" {': [True] * 3, "b": []}, ensure_ascii=False))
    assert not accepts(schema, '{"b": []}')
    assert not accepts({"type": "object", "properties": {"b": items}}, '{"b":  []}')


def test_a_token_inside_a_text_costs_no_more_than_a_millisecond(compiler: Any, vocabulary: list[str]) -> None:
    """A repeated choice between a character and an escape, the plainer grammar, takes 5 ms."""
    grammar = compiler.compile_grammar(json_grammar({"type": "string", "maxLength": 400}))
    matcher = xgrammar.GrammarMatcher(grammar)
    mask = xgrammar.allocate_token_bitmask(1, len(vocabulary))
    times = []
    for character in '"some plain text and a \\"quoted\\" one':
        start = time.perf_counter()
        matcher.fill_next_token_bitmask(mask)
        times.append(time.perf_counter() - start)
        assert matcher.accept_string(character)
    assert sorted(times)[len(times) // 2] < 0.001
