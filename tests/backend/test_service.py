"""The Flight service and the submission, on a fake engine: order, errors, limits, cancelling, the token."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import flight

from sparkllm.backend import flight_service
from sparkllm.backend.chat import Chat, Frame
from sparkllm.backend.engine import Sampling
from sparkllm.errors import ConfigError, EngineError

from .conftest import prompts
from .fake import Served, served

COLUMNS = ["text", "error", "prompt_tokens", "cached_tokens", "output_tokens", "truncated", "kept", "asked", "killed"]
COLUMNS += ["over_budget"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "s") as one:
        yield one


def eventually(true: object, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_answers_come_back_in_the_order_of_the_prompts(service: Served) -> None:
    answers = service.submit(prompts([[i, i] for i in range(5000)])).result()
    assert answers.column("text").to_pylist() == [str(2 * i) for i in range(5000)]
    assert answers.schema.names == COLUMNS
    assert service.requests.totals["finished"] == 5000


def test_a_refused_prompt_is_an_error_of_its_row_alone(service: Served) -> None:
    answers = service.submit(prompts([[1], [-1], [2], None])).result().to_pylist()
    assert [row["text"] for row in answers] == ["1", None, "2", "0"]
    assert [row["error"] for row in answers] == [None, "refused", None, None]


def test_a_mistake_of_ours_is_an_error_of_its_row_alone(service: Served, capfd: pytest.CaptureFixture[str]) -> None:
    answers = service.submit(prompts([[1], [-4], [2]])).result().to_pylist()
    assert [row["text"] for row in answers] == ["1", None, "2"]
    assert "ZeroDivisionError: a mistake of ours" in answers[1]["error"]
    assert "Traceback" in capfd.readouterr().out


def test_a_query_that_runs_keeps_its_counts_whatever_others_come(service: Served) -> None:
    with service.requests.stream(Sampling(), "long"):
        service.requests.counts("long")["requests"] = 7
        for i in range(1200):
            service.requests.counts(str(i))
        assert service.requests.counters("long")["requests"] == 7
        assert len(service.requests._by_query) == 1000
    for i in range(1200):
        service.requests.counts(str(i))
    assert service.requests.counters("long")["requests"] == 0


def test_no_prompts_give_no_answers_and_the_same_columns(service: Served) -> None:
    answers = service.submit(prompts([])).result()
    assert answers.num_rows == 0
    assert answers.schema.names == COLUMNS


def test_a_slice_of_a_larger_array_is_sent_as_that_slice(service: Served) -> None:
    answers = service.submit(prompts([[i] for i in range(100)]).slice(40, 3)).result()
    assert answers.column("text").to_pylist() == ["40", "41", "42"]


def test_a_prompt_of_40_megabytes_fits(service: Served) -> None:
    answers = service.submit(prompts([[1] * 10_000_000, [2]])).result()
    assert answers.column("text").to_pylist() == ["10000000", "2"]


def test_no_more_requests_than_allowed_are_inside_the_engine(service: Served) -> None:
    service.submit(prompts([[i] for i in range(500)]), max_in_flight=8).result()
    assert service.engine.most_running <= 8


def test_two_submissions_are_answered_at_the_same_time(service: Served) -> None:
    slow = service.submit(prompts([[-2]]))
    assert service.submit(prompts([[7]])).result().column("text").to_pylist() == ["7"]
    assert not slow.done
    slow.cancel()


def test_cancelling_aborts_what_is_unfinished(service: Served) -> None:
    submission = service.submit(prompts([[-2]] * 20))
    assert eventually(lambda: service.engine.running == 20)
    submission.cancel()
    assert eventually(lambda: service.engine.running == 0)
    assert eventually(lambda: service.requests.totals["aborted"] == 20)
    with pytest.raises(EngineError, match="cancelled"):
        submission.result()


def test_a_dead_engine_fails_the_stream_with_its_sign(service: Served) -> None:
    submission = service.submit(prompts([[1], [-3]]))
    with pytest.raises(EngineError, match="gone"):
        submission.result()


def test_a_call_without_the_right_token_is_refused(service: Served) -> None:
    with pytest.raises(flight.FlightUnauthenticatedError):
        service.ask("info", token="0123456788")
    with pytest.raises(flight.FlightUnauthenticatedError), flight.connect(service.address) as client:
        list(client.do_action("info"))
    with pytest.raises(EngineError, match="token"):
        service.submit(prompts([[1]]), token="").result()


def test_a_call_is_told_its_frame_and_the_log_once_where_a_system_prompt_stands(
    service: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    noted: list[str] = []
    service.requests.note = lambda event, query: noted.append(event)
    for system in ("", "Be brief.", "Be kind."):
        found = json.loads(service.ask("frame", json.dumps(asdict(Chat(system))).encode()))
        assert found == {"prefix": f"<{system}", "suffix": ">", "beside": bool(system), "cut": ""}
    assert noted == ["this model's chat template takes no system prompt: it stands before the user's message"]
    assert capsys.readouterr().out == f"sparkllm: {noted[0]}\n"


def test_a_call_that_the_model_cannot_be_asked_is_told_so(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(chat: Chat) -> Frame:
        raise ConfigError("set it to auto")

    monkeypatch.setattr(service.engine, "frame", refuse)
    assert json.loads(service.ask("frame", json.dumps(asdict(Chat())).encode())) == {"error": "set it to auto"}


def test_the_first_proposal_is_what_all_agree_on(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service.ask("agree", b'["order", "a,b"]') == b'"a,b"'
    assert service.ask("agree", b'["order", "b,a"]') == b'"a,b"'
    monkeypatch.setattr(flight_service, "_AGREEMENTS", 2)
    service.ask("agree", b'["second", "x"]')
    service.ask("agree", b'["third", "x"]')
    assert service.ask("agree", b'["order", "b,a"]') == b'"b,a"', "the oldest agreement is forgotten"


def test_the_actions_are_these_and_others_are_named(service: Served) -> None:
    assert json.loads(service.ask("info"))["model"] == "fake"
    assert set(json.loads(service.ask("counters"))) >= {"requests", "aborted", "cached_tokens"}
    service.ask("reset_prefix_cache")
    assert service.engine.resets == 1
    service.ask("stop")
    assert service.stopped.is_set()
    with pytest.raises((flight.FlightError, pa.ArrowException), match="counters"):
        service.ask("unknown")


def test_an_engine_is_idle_only_without_open_streams(service: Served) -> None:
    submission = service.submit(prompts([[-2]]))
    assert eventually(lambda: service.engine.running == 1)
    time.sleep(0.05)
    assert service.requests.idle_seconds == 0.0
    submission.cancel()
    assert eventually(lambda: service.requests.idle_seconds > 0.0)


def test_each_query_has_counts_of_its_own(service: Served) -> None:
    service.submit(prompts([[1], [2, 3]])).result()
    assert service.requests.counters("7")["requests"] == service.requests.counters(None)["requests"] == 2
    assert set(service.requests.counters("8").values()) == {0}
