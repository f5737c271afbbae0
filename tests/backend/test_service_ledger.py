"""The ledger behind the Flight service, on a fake engine: what is known, under way or new."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import flight

from sparkllm.backend.engine import Sampling
from sparkllm.backend.ledger.exchange import Beside, read_found, recall_question
from sparkllm.backend.ledger.settings import LedgerSettings
from sparkllm.backend.ledger.store import AnswerStore, path_in
from tests.backend.ledger.test_store import key

from .conftest import prompts
from .fake import Served, served
from .test_service import eventually


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "s") as one:
        yield one


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerSettings:
    return LedgerSettings(str(tmp_path / "ledger"))


def beside(ledger: LedgerSettings, numbers: list[int]) -> Beside:
    return Beside(ledger, pa.array([key(i) for i in numbers], pa.binary()), pa.array(["1,0"] * len(numbers)))


def ask(service: Served, ledger: LedgerSettings, numbers: list[int], sampling: Sampling | None = None) -> list[dict]:
    rows = prompts([[i] for i in numbers])
    return service.submit(rows, beside=beside(ledger, numbers), sampling=sampling).result().to_pylist()


def recall(service: Served, ledger: LedgerSettings, numbers: list[int]) -> tuple[dict[int, str], str]:
    body = recall_question(ledger, "7", [key(i) for i in numbers])
    with flight.connect(service.address) as client:
        return read_found([one.body for one in client.do_action(flight.Action("recall", body), service.options())])


def test_what_was_answered_is_recalled_in_the_places_of_its_keys(service: Served, ledger: LedgerSettings) -> None:
    assert recall(service, ledger, [1, 2]) == ({}, "")
    ask(service, ledger, [1, 2, 3])
    assert recall(service, ledger, [9, 3, 8, 1]) == ({1: "3", 3: "1"}, "")
    assert recall(service, ledger, []) == ({}, "")
    assert eventually(lambda: service.requests.counters("7")["from_ledger"] == 2)


def test_a_recall_of_many_takes_several_messages(service: Served, ledger: LedgerSettings) -> None:
    numbers = list(range(10_000))
    ask(service, ledger, numbers)
    found, _ = recall(service, ledger, numbers[::-1])
    assert found == {place: str(9_999 - place) for place in range(10_000)}


def test_a_prompt_that_was_answered_since_it_was_recalled_is_not_asked(service: Served, ledger: LedgerSettings) -> None:
    ask(service, ledger, [1, 2])
    rows = ask(service, ledger, [2, 3])
    assert [(row["text"], row["kept"], row["prompt_tokens"]) for row in rows] == [("2", True, 0), ("3", False, 1)]
    counts = service.requests.counters("7")
    assert (service.engine.asked, counts["requests"], counts["finished"], counts["from_ledger"]) == (3, 3, 3, 1)


def test_equal_prompts_of_two_streams_are_asked_once(service: Served, ledger: LedgerSettings) -> None:
    numbers = list(range(2000))
    rows, keys = prompts([[i] for i in numbers]), beside(ledger, numbers)
    streams = [service.submit(rows, max_in_flight=300, beside=keys) for _ in range(4)]
    texts = [stream.result().column("text").to_pylist() for stream in streams]
    assert texts == [[str(i) for i in numbers]] * 4
    assert service.engine.asked == 2000
    assert service.requests.counters("7")["from_ledger"] == 6000


def test_when_the_stream_that_asked_is_cancelled_the_other_is_answered(service: Served, ledger: LedgerSettings) -> None:
    never = prompts([[-2]] * 5)
    first = service.submit(never, beside=beside(ledger, list(range(5))))
    assert eventually(lambda: service.engine.running == 5)
    second = service.submit(prompts([[i] for i in range(5)]), beside=beside(ledger, list(range(5))))
    time.sleep(0.1)
    assert service.engine.asked == 5
    first.cancel()
    assert second.result().column("text").to_pylist() == [str(i) for i in range(5)]
    assert eventually(lambda: service.requests.totals["aborted"] == 5)
    counts = service.requests.totals
    assert counts["requests"] == counts["finished"] + counts["aborted"] == 10


def test_a_failed_prompt_is_asked_again(service: Served, ledger: LedgerSettings) -> None:
    for _ in range(2):
        rows = service.submit(prompts([[-1]]), beside=beside(ledger, [1])).result().to_pylist()
        assert rows[0]["error"] == "refused"
    assert service.engine.asked == 2
    assert recall(service, ledger, [1])[0] == {}


def test_a_sampled_answer_is_not_kept_even_with_a_key(service: Served, ledger: LedgerSettings) -> None:
    ask(service, ledger, [1], Sampling(temperature=1.0))
    assert recall(service, ledger, [1])[0] == {}


def test_without_keys_nothing_is_shared_and_nothing_kept(service: Served, ledger: LedgerSettings) -> None:
    for _ in range(2):
        service.submit(prompts([[1], [1]])).result()
    assert service.engine.asked == 4
    assert not Path(ledger.folder).exists()


def test_rendered_orders_and_no_prompts_are_in_the_file(service: Served, ledger: LedgerSettings) -> None:
    ask(service, ledger, [1234])
    folder = Path(ledger.folder)
    assert eventually(lambda: AnswerStore(folder).recall([key(1234)]))
    rows = AnswerStore(folder)._reader.execute("SELECT key, text, field_order FROM answers").fetchall()
    assert rows == [(key(1234), "1234", "1,0")]


def test_a_broken_ledger_is_told_and_answers_come_all_the_same(service: Served, ledger: LedgerSettings) -> None:
    Path(ledger.folder).mkdir(mode=0o700)
    path_in(Path(ledger.folder)).write_bytes(b"nothing of the kind " * 1000)
    found, trouble = recall(service, ledger, [1, 2])
    assert found == {}
    assert "not a database" in trouble
    assert [row["text"] for row in ask(service, ledger, [1, 2])] == ["1", "2"]
    assert recall(service, ledger, [1, 2]) == ({}, ""), "once for a query"


def test_when_the_last_stream_ends_answers_are_on_the_shared_path(service: Served, tmp_path: Path) -> None:
    shared = LedgerSettings(str(tmp_path / "ledger"), str(tmp_path / "shared"))
    ask(service, shared, [1, 2])
    assert eventually(lambda: list((tmp_path / "shared").rglob("*.parquet")), 3)
