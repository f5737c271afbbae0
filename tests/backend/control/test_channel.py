"""The channel over real sockets: the driver's service, two engine servers with fake engines, and their reports."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import flight

from sparkllm.backend.control import reporter
from sparkllm.backend.control.budget import Budget, ControlAddress, Terms
from sparkllm.backend.control.messages import REPORT, Report
from sparkllm.backend.control.query import QueryProgress
from sparkllm.backend.control.service import ControlService
from sparkllm.backend.engine import Sampling
from sparkllm.backend.ledger.exchange import Beside
from sparkllm.backend.ledger.settings import LedgerSettings
from sparkllm.backend.wire import AUTHORIZATION
from tests.backend.conftest import prompts
from tests.backend.fake import Served, served

NEVER = [-2]  # the fake engine does not answer it


@pytest.fixture
def driver() -> Iterator[ControlService]:
    with ControlService("127.0.0.1", "127.0.0.1") as service:
        yield service


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[Served]]:
    with served(tmp_path / "a") as one, served(tmp_path / "b") as two:
        yield [one, two]


def within(seconds: float, true: Callable[[], object]) -> bool:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def progress(driver: ControlService, query: str = "7") -> QueryProgress:
    return next(one for one in driver.progress() if one.query == query)


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_two_engines_make_exactly_the_calls_of_the_budget(
    driver: ControlService, engines: list[Served], limit: int
) -> None:
    terms = Terms(driver.address, Budget(calls=limit))
    answers = [one.submit(prompts([[i] for i in range(800)]), terms=terms) for one in engines]
    rows = [row for one in answers for row in one.result().to_pylist()]
    assert sum(one.engine.asked for one in engines) == limit
    assert sum(row["text"] is not None for row in rows) == limit
    refused = {row["error"] for row in rows if row["over_budget"]}
    assert len(refused) == 1
    assert f"the query's budget is used up: spark.sparkllm.maxCalls={limit:,}." in refused.pop()
    assert within(3, lambda: progress(driver).counters["requests"] == limit)
    use = progress(driver).budget
    assert use is not None
    assert (use.used["calls"], use.ended) == (limit, f"spark.sparkllm.maxCalls={limit:,}")


def test_two_engines_stay_below_the_tokens_of_the_budget_by_less_than_two_requests(
    driver: ControlService, engines: list[Served]
) -> None:
    """The fake engine answers with one token and finds one in its cache: 10 tokens of the 17 that each may take."""
    terms = Terms(driver.address, Budget(tokens=5000))
    sampling = Sampling(max_tokens=7)
    answers = [one.submit(prompts([[1] * 10] * 400), terms=terms, sampling=sampling) for one in engines]
    rows = [row for one in answers for row in one.result().to_pylist()]
    computed = sum(row["prompt_tokens"] - row["cached_tokens"] + row["output_tokens"] for row in rows)
    assert 5000 - 2 * 17 < computed <= 5000


def test_what_the_budget_has_room_for_is_all_answered(driver: ControlService, engines: list[Served]) -> None:
    terms = Terms(driver.address, Budget(calls=1600, tokens=10**6, seconds=60, cost=1, cost_per_hour=1))
    answers = [one.submit(prompts([[i] for i in range(800)]), terms=terms) for one in engines]
    assert [one.result().column("text").null_count for one in answers] == [0, 0]


def test_when_time_is_up_requests_under_way_are_aborted_and_others_go_on(
    driver: ControlService, engines: list[Served]
) -> None:
    one, began = engines[0], time.monotonic()
    other = one.submit(prompts([NEVER] * 3), query="8", terms=Terms(driver.address))
    rows = one.submit(prompts([NEVER, [1]]), terms=Terms(driver.address, Budget(seconds=1.0))).result().to_pylist()
    assert [(row["text"], row["over_budget"]) for row in rows] == [(None, True), ("1", False)]
    assert 0.9 < time.monotonic() - began < 2.0
    assert one.requests.counters("7")["aborted"] == 1
    assert not other.done
    assert one.engine.running == 3
    other.cancel()


def test_cost_counts_each_engines_time(driver: ControlService, engines: list[Served]) -> None:
    """Two engines at one a second each have one second for 2."""
    budget, began = Budget(cost=2.0, cost_per_hour=3600.0), time.monotonic()
    answers = [one.submit(prompts([NEVER]), terms=Terms(driver.address, budget)) for one in engines]
    for one in answers:
        assert one.result().column("over_budget").to_pylist() == [True]
    assert 0.8 < time.monotonic() - began < 2.5
    use = progress(driver).budget
    assert use is not None
    assert use.used["cost"] == pytest.approx(2.0, abs=0.6)


def test_a_later_request_of_a_query_that_has_ended_is_refused_at_once(
    driver: ControlService, engines: list[Served]
) -> None:
    terms = Terms(driver.address, Budget(calls=3))
    engines[0].submit(prompts([[i] for i in range(9)]), terms=terms).result()
    for one in engines:
        assert one.submit(prompts([[5]]), terms=terms).result().column("over_budget").to_pylist() == [True]
    assert sum(one.engine.asked for one in engines) == 3
    assert engines[0].submit(prompts([[5]]), terms=terms, query="8").result().column("text").to_pylist() == ["5"]


def test_a_query_does_not_end_with_the_budget_of_another_that_asks_the_same(
    driver: ControlService, engines: list[Served], tmp_path: Path
) -> None:
    ledger = LedgerSettings(str(tmp_path / "ledger"))
    beside = Beside(ledger, pa.array([b"k"], pa.binary()), pa.array([""], pa.string()))
    poor = engines[0].submit(prompts([[1] * 50]), beside=beside, terms=Terms(driver.address, Budget(tokens=1)))
    rich = engines[0].submit(prompts([[1] * 50]), beside=beside, query="8")
    assert rich.result().column("text").to_pylist() == ["50"]
    poor.result()


def test_engines_report_every_second_what_they_count(driver: ControlService, engines: list[Served]) -> None:
    terms = Terms(driver.address)
    answers = [one.submit(prompts([[1], [2], NEVER]), terms=terms) for one in engines]
    assert within(3, lambda: driver.progress() and progress(driver).counters["finished"] == 4)
    told = progress(driver)
    assert (told.engines, told.running, told.counters["requests"], told.budget) == (2, 2, 6, None)
    for one in answers:
        one.cancel()
    assert within(3, lambda: progress(driver).counters["aborted"] == 2 and not progress(driver).running)


def test_the_driver_knows_how_many_requests_the_engines_had_over_time(
    driver: ControlService, engines: list[Served]
) -> None:
    terms = Terms(driver.address)
    answers = [one.submit(prompts([NEVER] * 5), terms=terms) for one in engines]
    assert within(5, lambda: len(driver.timeline("7")) > 4)
    for one in answers:
        one.cancel()
    assert within(3, lambda: not progress(driver).running)
    moments = driver.timeline("7")
    assert sorted(moment.requests for moment in moments)[len(moments) // 2] == 10
    assert [moment.seconds for moment in moments] == [0.125 + 0.25 * number for number in range(len(moments))]
    assert {moment.draft_length for moment in moments} == {None}
    assert driver.timeline("unknown") == ()


def test_a_call_without_the_token_is_refused(driver: ControlService) -> None:
    report = flight.Action(REPORT, Report("x", 1, {}).to_json())
    with flight.connect(driver.address.location) as client:
        for headers in ([], [(AUTHORIZATION.encode(), b"Bearer " + b"0" * 64)]):
            with pytest.raises(flight.FlightUnauthenticatedError, match="token was expected"):
                list(client.do_action(report, flight.FlightCallOptions(headers=headers)))
        right = [(AUTHORIZATION.encode(), f"Bearer {driver.address.token}".encode())]
        (answer,) = client.do_action(report, flight.FlightCallOptions(headers=right))
        assert json.loads(answer.body.to_pybytes()) == {}


def test_the_token_is_in_no_repr(driver: ControlService) -> None:
    assert driver.address.token not in repr(Terms(driver.address))


def test_without_the_driver_queries_go_on_and_those_with_a_budget_end(
    driver: ControlService, engines: list[Served], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reporter, "_PATIENCE_SECONDS", 0.5)
    away = ControlAddress("grpc+tcp://127.0.0.1:1", "0" * 64)
    one, began = engines[0], time.monotonic()
    assert one.submit(prompts([[5]]), terms=Terms(away), query="8").result().column("text").to_pylist() == ["5"]
    (row,) = one.submit(prompts([[5]]), terms=Terms(away, Budget(calls=5))).result().to_pylist()
    assert row["over_budget"]
    assert "the driver at grpc+tcp://127.0.0.1:1 does not answer" in row["error"]
    assert time.monotonic() - began < 5
    assert capfd.readouterr().err.count("does not answer") == 1


def test_an_engine_that_loses_the_driver_uses_up_what_it_has_leased(
    engines: list[Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "_PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(reporter, "_CALL_SECONDS", 0.5)
    one = engines[0]
    with ControlService("127.0.0.1", "127.0.0.1") as driver:
        terms = Terms(driver.address, Budget(calls=100))
        one.submit(prompts([[1]] * 20), terms=terms).result()
        held = one.submit(prompts([NEVER]), terms=terms)
        assert within(2, lambda: one.engine.running == 1)
    rows = one.submit(prompts([[1]] * 200), terms=terms).result().to_pylist()
    assert all(row["over_budget"] for row in rows if row["text"] is None)
    assert one.engine.asked <= 100
    held.cancel()


def test_a_budget_travels_with_the_terms(driver: ControlService) -> None:
    terms = Terms(driver.address, Budget(1, 2, 3.0, 4.0, 5.0))
    assert Terms.from_json(terms.to_json()) == terms
    assert Terms.from_json(terms.unlimited.to_json()) == replace(terms, budget=None)
