"""Secrets of the environment reach the engine and no file; field values reach no log, plan, event log or ledger."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparkllm.backend.launch import _environment

ENDPOINT = "sk-CanaryOfTheEndpoint"
HF, OTHER, FIELD = "hf_CanaryOfTheHub", "CanaryOfTheEnvironment", "CanaryOfTheField"

QUERY = """
import sys
from pathlib import Path
import psutil, sparkllm
from sparkllm.backend.sweep import engines

folder = Path(sys.argv[1])
spark = sparkllm.session(
    model="demo", master="local[1]", runtime_dir=str(folder / "rt"), ledger=str(folder / "ledger"), kv_cache_gib=1,
    **{"spark.ui.enabled": False, "spark.ui.showConsoleProgress": False, "spark.eventLog.enabled": True,
       "spark.eventLog.dir": (folder / "events").as_uri(), "spark.eventLog.compress": False,
       "spark.sql.warehouse.dir": str(folder / "warehouse")},
)
spark.read.csv(sys.argv[2], header=True).createOrReplaceTempView("r")
calls = "SELECT llm('classify', review) AS a, llm('About {review}?', review, labels => array('yes', 'no')) AS b FROM r"
spark.sql("EXPLAIN EXTENDED " + calls).show(truncate=False)
print(spark.sql(calls).collect(), sparkllm.last_report(), flush=True)
(engine,) = engines(folder / "rt")
print("engine has", psutil.Process(engine.state().server.pid).environ()["HF_TOKEN"] == sys.argv[3], flush=True)
sparkllm.stop()
spark.stop()
"""


def test_the_engine_gets_the_hubs_token_and_the_endpoints_key_and_not_sparks_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", HF)
    monkeypatch.setenv("OPENAI_API_KEY", ENDPOINT)
    monkeypatch.setenv("PYTHON_WORKER_FACTORY_SECRET", OTHER)
    assert _environment()["HF_TOKEN"] == HF
    assert _environment()["OPENAI_API_KEY"] == ENDPOINT
    assert OTHER not in _environment().values()


@pytest.mark.long
def test_no_file_holds_a_secret_or_a_field(tmp_path: Path) -> None:
    folder, table = tmp_path / "q", tmp_path / "r.csv"
    (folder / "events").mkdir(parents=True)
    table.write_text(f"review\nIt broke after a week {FIELD}\n")
    environment = os.environ | {"HF_TOKEN": HF, "SOME_SECRET": OTHER}
    command = [sys.executable, "-c", QUERY, str(folder), str(table), HF]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "engine has True" in done.stdout, done.stderr[-3000:]
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    written = {"said": (done.stdout + done.stderr).encode(), **{str(path): raw for path, raw in files.items()}}
    for part in ("server", "state.json", "spec.json", "events", "ledger"):
        assert sum(len(raw) for name, raw in written.items() if part in name) > 0, f"nothing was looked at: {part}"
    found = [(name, secret) for name, raw in written.items() for secret in (HF, OTHER, FIELD) if secret.encode() in raw]
    assert not found
