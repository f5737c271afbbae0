"""Groups of any size within a context of any length: parts, answers, parts of answers, one answer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from sparkllm.backend.ledger.exchange import Beside
from sparkllm.udf import arrow
from sparkllm.udf.evaluation import RESULT
from tests.udf.test_evaluation import Batches, Engine, batches

AGG = json.dumps({"task": "agg", "prompt": "What is bad?", "fields": ["texts"], "function": "llm_agg"})


class Reader(Engine):
    """Answers with how many items it was shown, and remembers the prompts as text."""

    def __init__(self, context: int) -> None:
        super().__init__("", context)
        self.shown: list[str] = []
        self.breaks = self.adds = ""

    def submit(
        self, ids: pa.ListArray, sampling: Any, query: str, beside: Beside | None, *args: Any
    ) -> SimpleNamespace:
        answered = super().submit(ids, sampling, query, beside, *args)
        tokenizer = Tokenizer.from_str(self.info.tokenizer_json)
        texts = [tokenizer.decode(one, skip_special_tokens=False) for one in ids.to_pylist()]
        self.shown += texts
        batch = self.answers(len(ids))
        broken = [bool(self.breaks) and self.breaks in text for text in texts]
        values = pa.array(
            [None if b else f"{len(items(t))} read{self.adds}" for t, b in zip(texts, broken, strict=True)]
        )
        if beside is not None:
            self.ledger |= dict(zip(beside.keys.to_pylist(), values.to_pylist(), strict=True))
        errors = pa.array(["it broke" if b else None for b in broken], pa.string())
        batch = batch.set_column(0, "text", values.cast(pa.string())).set_column(1, "error", errors)
        return SimpleNamespace(wait=answered.wait, result=lambda: batch, cancel=answered.cancel)


def items(prompt: str) -> list[Any]:
    return list(json.loads(prompt[prompt.index('{"texts":') :])["texts"])


def groups(*values: list[str] | None, **settings: Any) -> Batches:
    return batches(AGG, [None if v is None else json.dumps(v) for v in values], maxTokens=8, **settings)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    engine = Reader(200)
    monkeypatch.setattr(arrow, "connect", lambda *_: engine)
    return engine


def run(source: Batches) -> list[dict[str, Any]]:
    return [row for array in arrow.evaluate(source) for row in array.cast(RESULT).to_pylist()]


def test_a_group_that_fits_is_one_request(reader: Reader) -> None:
    [row] = run(groups(["good", 'it "broke"\n', "späte Lieferung"]))
    assert (row["value"], row["error"], row["requests"]) == ("3 read", None, 1)
    assert items(reader.shown[0]) == ["good", 'it "broke"\n', "späte Lieferung"]
    assert reader.shown[0].startswith("What is bad?")


def test_a_group_without_values_is_null_without_a_request(reader: Reader) -> None:
    rows = run(groups([], None))
    assert [(row["value"], row["error"]) for row in rows] == [(None, "null_fields")] * 2
    assert reader.shown == []


def test_a_large_group_is_asked_in_parts_until_one_answer_is_left(reader: Reader) -> None:
    texts = [f"review number {i} says that it broke" for i in range(500)]
    [row] = run(groups(texts))
    assert row["error"] is None
    parts = [p for p in reader.shown if "answers to this" not in p]
    later = [p for p in reader.shown if "answers to this" in p]
    assert sorted(text for part in parts for text in items(part)) == sorted(texts)
    assert 1 < len(later) < len(parts)
    assert row["value"] == f"{len(items(later[-1]))} read"
    assert row["requests"] == len(reader.shown)
    assert max(map(len, reader.asked)) <= 200 - 8


def test_large_and_small_groups_of_a_window_keep_their_rows(reader: Reader) -> None:
    many = [f"text number {i} of the many" for i in range(60)]
    rows = run(groups(["one"], many, [], ["two", "three"]))
    assert [row["value"] for row in rows][::3] == ["1 read", "2 read"]
    assert rows[2]["error"] == "null_fields"
    assert rows[1]["value"].endswith("read")
    assert rows[1]["requests"] > 3


def test_a_value_longer_than_the_context_is_cut_and_read_whole(reader: Reader) -> None:
    text = " ".join(f"word{i}" for i in range(400))
    [row] = run(groups([text, "short"]))
    assert row["error"] is None
    first = [p for p in reader.shown if "answers to this" not in p]
    assert sorted(" ".join(one for part in first for one in items(part)).split()) == sorted(f"{text} short".split())


def test_a_group_with_a_part_without_an_answer_has_none_and_the_others_do(reader: Reader) -> None:
    reader.breaks = "number 31 "
    many = [f"text number {i} of the many" for i in range(60)]
    broken, fine = run(groups(many, ["one"]))
    assert (broken["value"], broken["error"]) == (None, "engine_error")
    assert fine["value"] == "1 read"


def test_equal_groups_and_equal_parts_are_asked_once(reader: Reader) -> None:
    many = [f"text number {i} of the many" for i in range(60)]
    rows = run(groups(many, many, ["one"], ["one"]))
    assert len(reader.shown) == len(set(reader.shown))
    assert rows[0]["value"] == rows[1]["value"]


def test_a_second_run_is_served_by_the_ledger(reader: Reader, tmp_path: Any) -> None:
    many = [f"text number {i} of the many" for i in range(60)]
    [first] = run(groups(many, ledger=str(tmp_path)))
    before = len(reader.shown)
    [second] = run(groups(many, ledger=str(tmp_path)))
    assert second["value"] == first["value"]
    assert second["ledger_prompts"] == first["requests"] == before == len(reader.shown)


def test_a_context_too_short_to_combine_anything_says_what_to_change(
    reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    reader.info.max_model_len = 60
    [row] = run(groups(["one", "two"]))
    assert (row["value"], row["error"]) == (None, "too_long")
    assert "spark.sparkllm.maxTokens" in capsys.readouterr().err


def test_answers_as_long_as_the_context_still_come_to_one(reader: Reader) -> None:
    reader.adds = ' "and" more' * 40
    many = [f"text number {i} of the many" for i in range(60)]
    [row] = run(groups(many))
    assert row["error"] is None
    assert row["requests"] < 40
