"""The real engine, started once for this module: answers, labels, order, the prefix cache, sharing, aborting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pyarrow import flight
from tokenizers import Tokenizer

from sparkllm.backend.client import EngineClient
from sparkllm.backend.engine import Sampling
from sparkllm.backend.folder import is_private
from sparkllm.backend.wire import location
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineDiedError

from .conftest import GONE_SECONDS, gone_after, leader, members_of, prompts

LABELS = ("negative", "neutral", "positive")


@pytest.fixture(scope="module")
def engine(start: Callable[[], EngineClient]) -> EngineClient:
    return start()


@pytest.fixture(scope="module")
def encode(engine: EngineClient) -> Callable[[str], list[int]]:
    info, tokenizer = engine.info, Tokenizer.from_str(engine.info.tokenizer_json)

    def chat(message: str) -> list[int]:
        return list(tokenizer.encode(info.chat_prefix + message + info.chat_suffix, add_special_tokens=False).ids)

    return chat


Encode = Callable[[str], list[int]]


def test_every_socket_of_an_engine_lies_in_its_private_folder(engine: EngineClient) -> None:
    folder = engine._folder.path
    processes = [psutil.Process(member.pid) for member in members_of(engine)]
    paths = {
        Path(process.cwd(), connection.laddr)
        for process in processes
        for connection in process.net_connections(kind="unix")
        if connection.laddr
    }
    assert {path.parent for path in paths} == {folder, folder / "ipc"}
    for path in (folder, folder / "ipc", folder / "leases"):
        assert is_private(path)
    assert all(
        path.stat().st_mode & 0o077 == 0 for path in folder.iterdir() if path.suffix == ".json" or path.name == "token"
    )


def test_the_engine_tells_what_a_worker_needs(engine: EngineClient) -> None:
    info = engine.info
    assert info.device in ("cpu", "cuda")
    assert info.block_size == 32 or info.device == "cuda"
    assert info.max_model_len >= 1024
    assert info.chat_suffix


def test_the_start_is_reported_once(engine: EngineClient) -> None:
    assert engine.started_seconds > 0
    assert engine.take_started_seconds() == engine.started_seconds
    assert engine.take_started_seconds() == 0.0


def test_free_text_stops_at_max_tokens(engine: EngineClient, encode: Encode) -> None:
    (row,) = engine.submit(prompts([encode("Say something.")]), Sampling(max_tokens=3)).result().to_pylist()
    assert row["error"] is None
    assert row["text"] is not None
    assert 1 <= row["output_tokens"] <= 3


def test_answers_are_held_to_the_labels(engine: EngineClient, encode: Encode) -> None:
    sampling = Sampling(max_tokens=16, choices=LABELS)
    answers = engine.submit(prompts([encode(f"review {i}") for i in range(50)]), sampling).result()
    assert set(answers.column("text").to_pylist()) <= set(LABELS)
    assert answers.column("error").null_count == 50


def test_a_prompt_of_broken_bytes_does_not_leak_into_the_answer(engine: EngineClient) -> None:
    # Every id once at the end of a prompt: many are no valid UTF-8 alone.
    rows = [[7, i] for i in range(10, 210)]
    answers = engine.submit(prompts(rows), Sampling(max_tokens=16, choices=LABELS)).result()
    assert set(answers.column("text").to_pylist()) <= set(LABELS)


def test_each_prompt_gets_its_own_answer(engine: EngineClient, encode: Encode) -> None:
    # Lengths tell the rows apart whatever the model says.
    rows = [encode("word " * (1 + i * 7 % 40)) for i in range(60)]
    answers = engine.submit(prompts(rows), Sampling(max_tokens=1)).result()
    assert answers.column("prompt_tokens").to_pylist() == [len(row) for row in rows]


def test_the_same_prompt_is_read_from_the_cache_the_second_time(engine: EngineClient, encode: Encode) -> None:
    row = encode("a long review about the taste of one beer " * 20)
    engine.reset_prefix_cache()
    first, second = (engine.submit(prompts([row]), Sampling(max_tokens=1)).result() for _ in range(2))
    block = engine.info.block_size
    assert first.column("cached_tokens").to_pylist() == [0]
    # The last token is always computed: its output is the answer.
    assert second.column("cached_tokens").to_pylist() == [(len(row) - 1) // block * block]


def test_a_prompt_the_engine_refuses_costs_its_own_row_only(engine: EngineClient, encode: Encode) -> None:
    too_long = [9] * (engine.info.max_model_len + 1)
    rows = [encode("good"), too_long, [], [-5], [10**9], None, encode("good")]
    answers = engine.submit(prompts(rows), Sampling(max_tokens=2)).result().to_pylist()
    assert [row["error"] is None for row in answers] == [True, False, False, False, False, False, True]
    assert str(engine.info.max_model_len) in answers[1]["error"]


def test_labels_cut_by_max_tokens_are_an_error_not_half_a_label(engine: EngineClient, encode: Encode) -> None:
    sampling = Sampling(max_tokens=1, choices=("abcdefghijklmnopqrstuvwxyz0123456789",))
    (row,) = engine.submit(prompts([encode("x")]), sampling).result().to_pylist()
    assert row["text"] is None
    assert "max_tokens=1" in row["error"]


def test_greedy_answers_repeat_and_a_seed_repeats_sampled_ones(engine: EngineClient, encode: Encode) -> None:
    rows = prompts([encode(f"tell me about {i}") for i in range(8)])
    for sampling in (Sampling(max_tokens=5), Sampling(max_tokens=5, temperature=1.0, seed=3)):
        one, two = (engine.submit(rows, sampling).result().column("text") for _ in range(2))
        assert one == two


def test_the_counters_add_up(engine: EngineClient, encode: Encode) -> None:
    before = engine.counters()
    answers = engine.submit(prompts([encode(f"count {i}") for i in range(20)]), Sampling(max_tokens=2)).result()
    after = engine.counters()
    assert after["finished"] - before["finished"] == 20
    for name in ("prompt_tokens", "cached_tokens", "output_tokens"):
        assert after[name] - before[name] == sum(answers.column(name).to_pylist())


def test_cancelling_aborts_the_requests_inside_vllm(engine: EngineClient, encode: Encode) -> None:
    before = engine.counters()
    submission = engine.submit(
        prompts([encode(f"long {i}") for i in range(200)]), Sampling(max_tokens=900, min_tokens=900)
    )
    time.sleep(1.0)
    submission.cancel()
    deadline = time.monotonic() + 10
    while engine.counters()["aborted"] == before["aborted"] and time.monotonic() < deadline:
        time.sleep(0.1)
    after = engine.counters()
    done = sum(after[name] - before[name] for name in ("aborted", "finished"))
    assert after["aborted"] - before["aborted"] > 100
    assert done == after["requests"] - before["requests"] == 200
    # The engine is free again at once: it would work for a minute on what was cancelled.
    began = time.monotonic()
    engine.submit(prompts([encode("next")]), Sampling(max_tokens=1)).result()
    assert time.monotonic() - began < 5


def test_a_second_process_shares_the_engine(engine: EngineClient, config: LLMConfig) -> None:
    code = (
        "import sys; from sparkllm.backend.client import connect; from sparkllm.config import LLMConfig\n"
        f"engine = connect(LLMConfig(**{vars(config)!r}), None, 'tests-backend')\n"
        "print(engine.started_seconds, engine.agree('key', 'theirs'), engine._folder.state().server.pid)\n"
        "assert not {'torch', 'vllm', 'transformers', 'pyspark'} & set(sys.modules)"
    )
    assert engine.agree("key", "ours") == "ours"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    server = engine._folder.state().server
    assert server is not None
    assert out.split() == ["0.0", "ours", str(server.pid)]


def test_connecting_again_gives_the_same_client(engine: EngineClient, start: Callable[[], EngineClient]) -> None:
    assert start() is engine


def test_a_wrong_token_is_refused(engine: EngineClient) -> None:
    address = location(engine._folder.socket(engine._folder.state().launch))
    with flight.connect(address) as client, pytest.raises(flight.FlightUnauthenticatedError):
        list(client.do_action("info", flight.FlightCallOptions(headers=[(b"authorization", b"Bearer no")])))


def test_a_killed_client_leaves_no_requests_behind(engine: EngineClient, config: LLMConfig) -> None:
    code = (
        "import time, pyarrow as pa; from sparkllm.backend.client import connect\n"
        "from sparkllm.config import LLMConfig\n"
        "from sparkllm.backend.engine import Sampling\n"
        f"engine = connect(LLMConfig(**{vars(config)!r}), None, 'tests-backend')\n"
        "rows = pa.array([[9, 10, i] for i in range(100)], pa.list_(pa.int32()))\n"
        "submission = engine.submit(rows, Sampling(max_tokens=1500, min_tokens=1500))\n"
        "time.sleep(1); print('sent', flush=True); submission.result()"
    )
    before = engine.counters()["aborted"]
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while engine.counters()["aborted"] - before < 50:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_killed_watchdog_takes_the_whole_group_with_it(engine: EngineClient, encode: Encode) -> None:
    # The last test of this module: the engine is gone after it.
    members = members_of(engine)
    submission = engine.submit(
        prompts([encode(f"long {i}") for i in range(50)]), Sampling(max_tokens=900, min_tokens=900)
    )
    os.kill(leader(engine).pid, signal.SIGKILL)
    print(f"gone after {gone_after(members):.1f} s, allowed {GONE_SECONDS} s")
    with pytest.raises(EngineDiedError, match="a new engine starts by itself"):
        submission.result()
