"""What is claimed of the files shipped in sparkllm/demo."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
from jinja2 import Template
from tokenizers import Tokenizer

DEMO = Path(str(resources.files("sparkllm.demo")))
MODEL = DEMO / "model"
ANSWERS = ("negative", "neutral", "positive", "yes", "no", "YES", "NO")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(MODEL / "tokenizer.json"))


@pytest.fixture(scope="module")
def reviews() -> list[dict[str, str]]:
    with (DEMO / "reviews.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _template() -> Template:
    config = json.loads((MODEL / "tokenizer_config.json").read_text(encoding="utf-8"))
    return Template(config["chat_template"])


def test_the_model_folder_is_at_most_nine_megabytes() -> None:
    assert sum(file.stat().st_size for file in MODEL.iterdir()) <= 9_000_000


def test_the_model_is_a_llama_in_bfloat16_whose_vocabulary_is_its_tokenizers(tokenizer: Tokenizer) -> None:
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["dtype"] == "bfloat16"
    assert config["vocab_size"] == tokenizer.get_vocab_size()


@pytest.mark.parametrize("word", ANSWERS)
def test_an_answer_word_is_one_token_where_the_answer_starts(tokenizer: Tokenizer, word: str) -> None:
    tokens = tokenizer.encode(f"<|assistant|>\n{word}<|end|>").tokens
    assert tokens[2:] == [word, "<|end|>"]


@pytest.mark.parametrize(
    "text", ["plain", "É é ñ", "漢字かな", "مرحبا", "👩‍👩‍👧‍👦 ✈️", "a\u200bb\ufeff", "\x00\x7f", "\n\t\r\n", ' "{}" ']
)
def test_any_unicode_text_survives_the_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_special_tokens_end_generation_and_pad(tokenizer: Tokenizer) -> None:
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    generation = json.loads((MODEL / "generation_config.json").read_text(encoding="utf-8"))
    assert config["eos_token_id"] == generation["eos_token_id"] == tokenizer.token_to_id("<|end|>")
    assert config["bos_token_id"] == tokenizer.token_to_id("<|bos|>")


def test_the_chat_template_renders_a_prompt_up_to_its_answer() -> None:
    text = _template().render(messages=[{"role": "user", "content": "Hi\n\n{}"}], add_generation_prompt=True)
    assert text == "<|bos|><|user|>\nHi\n\n{}<|end|>\n<|assistant|>\n"


def test_the_table_reads_like_a_shops_log(reviews: list[dict[str, str]]) -> None:
    assert list(reviews[0]) == ["id", "product", "description", "review", "stars"]
    assert 300 <= len(reviews) <= 400
    assert len({row["id"] for row in reviews}) == len(reviews)
    assert {row["stars"] for row in reviews} == set("12345")


def test_each_product_has_one_long_description(reviews: list[dict[str, str]]) -> None:
    pairs = {(row["product"], row["description"]) for row in reviews}
    assert len(pairs) == len({product for product, _ in pairs}) == 12
    assert all(len(description) > 150 for _, description in pairs)


def test_the_reviews_hold_duplicates_and_nulls(reviews: list[dict[str, str]]) -> None:
    counts = Counter(row["review"] for row in reviews)
    assert counts.pop("") >= 10
    assert sum(count for count in counts.values() if count > 1) >= 100


def test_the_reviews_hold_quotes_commas_newlines_and_odd_unicode(reviews: list[dict[str, str]]) -> None:
    text = "".join(row["review"] for row in reviews)
    assert {'"', ",", "\n", "\t", "\\", "{", "\u200b", "😍"} <= set(text)
    assert any(unicodedata.combining(c) for c in text)
    assert {"R", "AL"} <= {unicodedata.bidirectional(c) for c in text}
    assert any(unicodedata.name(c, "").startswith("CJK") for c in text)
