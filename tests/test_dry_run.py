"""The dry-run engine beside the real one: the same counts for the same table, right types, nothing kept, no weights."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend import dry_run_engine
from sparkllm.backend.client import EngineClient, connect
from sparkllm.backend.dry_run_engine import DryRunEngine
from sparkllm.backend.engine import EngineSpec, Sampling
from sparkllm.backend.launch import end
from sparkllm.backend.model_path import resolve
from sparkllm.config import LLMConfig
from sparkllm.report import QueryReport
from tests.settings import configured

DRY = {"spark.sparkllm.engine": "dry-run"}
TYPED = "review_id BIGINT NOT NULL, good BOOLEAN, on DATE NOT NULL, parts ARRAY<STRING>, price DECIMAL(6,2) NOT NULL"


@pytest.fixture(scope="module")
def dry(shop: SparkSession) -> Iterator[SparkSession]:
    with configured(shop, DRY):
        yield shop
        end(engine_of(shop)._folder)


def engine_of(spark: SparkSession) -> EngineClient:
    settings = {key: value for key, value in spark.conf.getAll.items() if key.startswith("spark.sparkllm.")}
    return connect(LLMConfig.from_spark(settings), None, spark.sparkContext.applicationId)


def counted(spark: SparkSession) -> QueryReport:
    engine_of(spark).reset_prefix_cache()
    spark.sql("SELECT llm('classify', product, review) FROM reviews").collect()
    return sparkllm.last_report(spark)


def test_a_dry_run_counts_the_prompt_tokens_and_prefix_hits_of_the_real_engine(shop: SparkSession) -> None:
    real = counted(shop)
    with configured(shop, DRY):
        dry = counted(shop)
    for name in ("rows", "requests", "prompt_tokens", "static_tokens", "predicted_tokens"):
        assert dry.total(name) == real.total(name) > 0, name
    assert dry.total("cached_tokens") == pytest.approx(real.total("cached_tokens"), rel=0.02)
    assert dry.total("output_tokens") == 0 < real.total("output_tokens")


def test_a_dry_run_knows_of_the_model_what_the_real_engine_does(shop: SparkSession, dry: SparkSession) -> None:
    info = engine_of(dry).info
    with configured(shop, {"spark.sparkllm.engine": "vllm"}):
        real = engine_of(shop).info
    for name in ("model", "max_model_len", "block_size", "chat_prefix", "chat_suffix", "max_num_seqs"):
        assert getattr(info, name) == getattr(real, name), name
    assert info.cache_tokens == pytest.approx(real.cache_tokens, rel=0.01)
    assert info.fingerprint == "", "so that no answer of it is ever kept"


def test_answers_of_a_dry_run_have_the_right_type_and_no_meaning(dry: SparkSession) -> None:
    row = dry.sql(
        f"SELECT llm('classify', review, labels => array('no', 'yes')) AS label, llm('Summarise.', review) AS text, "
        f"llm('What is it?', review, schema => '{TYPED}') AS typed FROM reviews LIMIT 1"
    ).first()
    assert row is not None
    assert (row.label, row.text) == ("no", "")
    typed = row.typed.asDict()
    assert (typed["review_id"], typed["good"], str(typed["on"]), typed["price"]) == (0, None, "1970-01-01", 0)


def test_a_dry_run_keeps_no_answer(dry: SparkSession, tmp_path: Path) -> None:
    with configured(dry, {"spark.sparkllm.ledger": str(tmp_path / "kept")}):
        for _ in range(2):
            dry.sql("SELECT llm('classify', review) FROM reviews LIMIT 20").collect()
            assert sparkllm.last_report(dry).total("requests") > 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_dry_run_loads_neither_torch_nor_weights(dry: SparkSession) -> None:
    server = engine_of(dry)._folder.state().server
    assert server is not None
    process = psutil.Process(server.pid)
    opened = {region.path for region in process.memory_maps()} | {file.path for file in process.open_files()}
    # torch's libgomp may be there: vLLM has it preloaded into whatever a process starts that has imported it.
    assert not [path for path in opened if "libtorch" in path or "vllm" in path or path.endswith(".safetensors")]
    assert process.children(recursive=True) == []


def test_prompts_longer_than_the_context_are_null_in_a_dry_run_too(dry: SparkSession) -> None:
    row = dry.sql("SELECT llm('Summarise.', repeat('word ', 5000)) AS text").first()
    assert row is not None
    assert row.text is None


def test_it_keeps_its_rate_where_its_process_wakes_up_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten prompts of a second each that came together; a clock of the test's own, half a second late each time."""
    now, sleep = [1000.0], asyncio.sleep

    async def late(seconds: float) -> None:
        await sleep(0)  # the others come
        now[0] += seconds + 0.5

    monkeypatch.setattr(dry_run_engine, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(dry_run_engine.asyncio, "sleep", late)
    engine = DryRunEngine(EngineSpec("test", str(resolve("demo")), "", "cpu", tokens_per_second=100))

    async def ask() -> None:
        await asyncio.gather(*(engine.answer(str(i), [i] * 100, Sampling()) for i in range(10)))

    asyncio.run(ask())
    assert 1010 <= now[0] <= 1010.5
