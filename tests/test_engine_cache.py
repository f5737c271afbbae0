"""The ordering engine against the real one: a cache serves what is predicted, whatever the order of the prompts."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.client import EngineClient, connect
from sparkllm.backend.engine import Sampling
from sparkllm.calls import LLMCall
from sparkllm.optimizer.encode import encode
from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering import order
from sparkllm.optimizer.prefix import Sequences, Served, blocks
from sparkllm.udf.prefix_counts import PrefixCounter
from sparkllm.udf.prompt import static_text
from sparkllm.udf.token_pieces import TokenPieces
from sparkllm.udf.tokens import ChatTokenizer

ROWS = 240
POINTS = 0.02
WORDS = ["kettle", "boils", "fast", "lamp", "light", "broke", "week", "money", "shop", "colour", "sturdy", "cheap"]


@pytest.fixture(scope="module")
def engine(spark: SparkSession) -> EngineClient:
    settings = {k: v for k, v in spark.conf.getAll.items() if k.startswith("spark.sparkllm.")}
    return connect(sparkllm.LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Reviews in random order: what many share stands in front of and behind what few do; some have no maker."""
    chance = random.Random(3)
    makers = [" ".join(chance.choices(WORDS, k=30)) for _ in range(6)]
    shops = [" ".join(chance.choices(WORDS, k=25)) for _ in range(9)]
    rows = [
        (chance.choice([*makers, None]), f"{chance.randrange(10**6)}", chance.choice(WORDS), chance.choice(shops))
        for _ in range(ROWS)
    ]
    return pa.table(dict(zip(("maker", "id", "title", "shop"), map(list, zip(*rows, strict=True)), strict=True)))


def prompts_in(engine: EngineClient, table: pa.Table, mode: str) -> tuple[Sequences, np.ndarray]:
    """The prompts of one call in an order, and how much of each no field can change."""
    info, call = engine.info, LLMCall(None, "Is this review of any use?", tuple(table.schema.names))
    tokenizer = ChatTokenizer.shared(info.tokenizer_json, info.chat_prefix, info.chat_suffix)
    encoded = encode([column.combine_chunks() for column in table.columns], table.num_rows)
    rows, fields = np.arange(table.num_rows), np.arange(table.num_columns, dtype=np.int16)
    if mode == "sorted":
        rows = order_rows(encoded.codes, tuple(fields.tolist()))
    elif mode != "input":
        found = order(table, mode)
        rows, fields = found.rows, found.fields
    prompts = TokenPieces(tokenizer, call, encoded).prompts(rows, fields)
    static = PrefixCounter(tokenizer.opening(static_text(call)), info.block_size).add(prompts.to_arrow()).static
    return prompts, static


def served(engine: EngineClient, table: pa.Table, mode: str) -> tuple[Served, Served]:
    """What an empty cache serves of the prompts in an order: (by the engine, predicted)."""
    prompts, static = prompts_in(engine, table, mode)
    engine.reset_prefix_cache()
    answers = engine.submit(prompts.to_arrow(), Sampling(max_tokens=1)).result()
    assert answers.column("error").null_count == len(prompts)
    assert engine.info.cache_tokens > prompts.lengths.sum()
    cached = answers.column("cached_tokens").to_numpy()
    return Served.of(cached, prompts.lengths, static), blocks(prompts, engine.info.block_size, static)


@pytest.mark.parametrize("mode", ["input", "sorted", "fixed", "fast", "best"])
def test_a_large_cache_serves_what_is_predicted(engine: EngineClient, table: pa.Table, mode: str) -> None:
    counted, predicted = served(engine, table, mode)
    print(f"{mode}: engine {counted.rate:.2%}, data {counted.data_rate:.2%}; predicted {predicted.data_rate:.2%}")
    assert counted.rate == pytest.approx(predicted.rate, abs=POINTS)
    assert counted.data_rate == pytest.approx(predicted.data_rate, abs=POINTS)


def test_the_engine_finds_far_more_in_its_cache_in_the_order_that_is_found(
    engine: EngineClient, table: pa.Table
) -> None:
    given, fast = (served(engine, table, mode)[0].data_rate for mode in ("input", "fast"))
    assert 0.1 < given < fast - 0.2
