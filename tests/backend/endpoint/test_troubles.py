"""A server that misbehaves: what is asked again, what is one row's error, and what ends the query."""

from __future__ import annotations

import email.utils
import socket
import time

import pytest

from sparkllm.backend.endpoint import setbacks
from sparkllm.backend.endpoint.setbacks import back_off, wanted_wait
from sparkllm.errors import EndpointError, EngineStartError

from .conftest import KEY, Ask
from .misbehaving import Misbehaving, completion, cut, refused, slow

FINE = completion("fine")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setbacks, "_FIRST_SECONDS", 0.02)


def texts(ask: Ask, *about: str, **settings: object) -> list[str | None]:
    return [answer.text for answer in ask(about or "one", **settings)]


def test_a_server_over_its_limit_is_asked_again_when_it_says(server: Misbehaving, ask: Ask) -> None:
    server.turns = [refused(429, "Rate limit reached", retry_after="1"), FINE]
    began = time.monotonic()
    assert texts(ask) == ["fine"]
    assert len(server.bodies) == 2
    assert time.monotonic() - began >= 1.0


def test_what_one_request_is_told_of_a_limit_holds_for_all(server: Misbehaving, ask: Ask) -> None:
    server.turns = [refused(429, "Rate limit reached", retry_after_ms="700"), FINE]
    assert texts(ask, *map(str, range(6)), endpoint_concurrency=1) == ["fine"] * 6
    assert len(server.bodies) == 7, "nobody else has asked in vain"


def test_a_date_is_a_time_to_wait_as_well() -> None:
    inside = wanted_wait({"retry-after": email.utils.formatdate(time.time() + 60, usegmt=True)})
    assert inside is not None
    assert 55 < inside < 61
    assert wanted_wait({"retry-after": email.utils.formatdate(time.time() - 60, usegmt=True)}) == 0.0
    assert wanted_wait({}) is None


def test_waits_grow_to_a_limit_and_differ() -> None:
    for tries in (0, 3, 100):
        waits = [back_off(tries) for _ in range(50)]
        longest = min(20.0, 0.02 * 2.0 ** min(tries, 10))
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert len(set(waits)) > 40


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_an_error_that_passes_costs_no_row(server: Misbehaving, ask: Ask, status: int) -> None:
    server.turns = [refused(status, "later"), refused(status, "later"), FINE]
    assert texts(ask) == ["fine"]
    assert len(server.bodies) == 3


def test_an_answer_beyond_the_timeout_is_asked_for_again(server: Misbehaving, ask: Ask) -> None:
    server.turns = [slow(1.5), FINE]
    assert texts(ask, endpoint_timeout_seconds=0.3) == ["fine"]


def test_a_connection_cut_in_the_middle_is_made_again(server: Misbehaving, ask: Ask) -> None:
    server.turns = [cut, cut, FINE]
    assert texts(ask) == ["fine"]
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    "raw", [b"<html>busy</html>", b"", b"\xff\xfe", b"[]", b'{"choices": []}', b'{"choices": [{}]}']
)
def test_what_is_no_completion_is_asked_for_again(server: Misbehaving, ask: Ask, raw: bytes) -> None:
    server.turns = [lambda body: (200, {}, raw), FINE]
    assert texts(ask) == ["fine"]


def test_a_row_that_the_server_fails_over_is_that_rows_error_while_others_are_answered(
    server: Misbehaving, ask: Ask
) -> None:
    server.turns = [lambda body: (refused(500, "oops") if "poison" in str(body) else FINE)(body)]
    good, bad = ask(["good", "poison"])
    assert good.text == "fine"
    assert bad.text is None
    assert "failed 4 times over this row, and not over others: status 500" in str(bad.error)


def test_a_row_that_fails_last_and_alone_is_told_from_a_server_that_is_down(server: Misbehaving, ask: Ask) -> None:
    server.turns = [lambda body: (refused(500, "oops") if "poison" in str(body) else FINE)(body)]
    (bad,) = ask("poison")
    assert bad.text is None
    assert "Say yes." in str(server.bodies[-1]), "something harmless was asked to find out"


def test_a_server_that_fails_over_everything_ends_the_query_after_a_while(server: Misbehaving, ask: Ask) -> None:
    server.turns = [refused(500, "oops")]
    with pytest.raises(
        EndpointError, match=r"found: status 500.*no answer to anything for \d+ s.*endpointRetrySeconds"
    ):
        ask(["one", "two"], endpoint_retry_seconds=0.5)


def test_a_server_that_is_not_there_is_waited_for_and_then_a_clear_error(ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    began = time.monotonic()
    with pytest.raises(EngineStartError, match=rf"expected the endpoint {url} to answer, found: no connection"):
        ask("one", base_url=url, endpoint_retry_seconds=0.6)
    assert time.monotonic() - began >= 0.6


def test_a_server_that_wants_to_be_left_alone_for_longer_than_is_waited_ends_the_query(
    server: Misbehaving, ask: Ask
) -> None:
    server.turns = [refused(429, "Daily limit reached", retry_after="86000")]
    with pytest.raises(EndpointError, match=r"Daily limit reached.*asked again in 86000 s"):
        ask("one")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not take the API key.*spark.executorEnv.OPENAI_API_KEY"),
        (403, "the key may not do this"),
        (404, "no model 'some/model' there.*spark.sparkllm.baseUrl"),
        (402, "no credit left"),
        (307, "another address.*spark.sparkllm.baseUrl"),
    ],
)
def test_what_is_wrong_for_all_rows_is_one_error_that_says_what_to_do(
    server: Misbehaving, ask: Ask, status: int, words: str
) -> None:
    server.turns = [refused(status, f"You said {KEY}")]
    with pytest.raises(EndpointError, match=words) as caught:
        ask("one")
    assert len(server.bodies) == 1
    assert KEY not in str(caught.value)


def test_rows_that_wait_are_not_sent_once_one_has_found_what_is_wrong_for_all(server: Misbehaving, ask: Ask) -> None:
    server.turns = [FINE, refused(401, "no")]
    with pytest.raises(EndpointError, match="401"):
        ask(list(map(str, range(20))), endpoint_concurrency=1)
    assert len(server.bodies) == 2


def test_an_account_without_credit_is_not_asked_again(server: Misbehaving, ask: Ask) -> None:
    quota = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    server.turns = [lambda body: (429, {}, quota)]
    with pytest.raises(EndpointError, match="no credit left"):
        ask("one")
    assert len(server.bodies) == 1


def test_a_wrong_key_is_found_before_any_row_is_asked(server: Misbehaving, ask: Ask) -> None:
    server.models = (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
    with pytest.raises(EngineStartError, match="does not take the API key") as caught:
        ask("one")
    assert server.bodies == []
    assert KEY not in str(caught.value)


def test_a_missing_key_says_where_it_belongs(server: Misbehaving, ask: Ask) -> None:
    server.models = (401, {})
    with pytest.raises(EngineStartError, match=r"wants an API key.*spark\.executorEnv\.OTHER_KEY"):
        ask("one", api_key_env="OTHER_KEY")


def test_a_request_that_is_refused_is_that_rows_error(server: Misbehaving, ask: Ask) -> None:
    server.turns = [
        lambda body: (refused(400, "This model's maximum context length is 10") if "long" in str(body) else FINE)(body)
    ]
    fine, long = ask(["short", "long"])
    assert fine.text == "fine"
    assert long.text is None
    assert str(long.error).endswith("invalid_request_error: This model's maximum context length is 10")
    assert len(server.bodies) == 2


def test_words_of_a_server_that_quote_the_row_or_the_key_are_left_out(server: Misbehaving, ask: Ask) -> None:
    server.turns = [lambda body: refused(400, f"bad: {body['messages'][0]['content']}")(body)]
    (quoted,) = ask("My secret diary of 2026")
    assert "diary" not in str(quoted.error)
    server.turns = [refused(422, f"bad header {KEY}")]
    (named,) = ask("one")
    assert "bad header ***" in str(named.error)


def test_no_more_requests_are_under_way_than_the_setting_says(server: Misbehaving, ask: Ask) -> None:
    server.turns = [slow(0.05)]
    assert texts(ask, *map(str, range(12)), endpoint_concurrency=3) == ["late"] * 12
    assert server.most == 3
