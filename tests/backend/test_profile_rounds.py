"""The requests that measure an engine at its start: how many, how long."""

from __future__ import annotations

import asyncio
import time

import pytest

from sparkllm.backend import profile_rounds
from sparkllm.backend.profile_rounds import run_rounds


class Asked:
    """Answers after a time by the request's place, and remembers the names."""

    def __init__(self, first: float = 0.0, others: float = 0.0) -> None:
        self.names: list[str] = []
        self.prompts: dict[str, list[int]] = {}
        self.cancelled = 0
        self._waits = (first, others)

    async def __call__(self, name: str, prompt: list[int], tokens: int) -> None:
        self.names.append(name.removeprefix(profile_rounds.PREFIX))
        self.prompts[self.names[-1]] = prompt
        assert all(0 <= token < 50 for token in prompt)
        try:
            await asyncio.sleep(self._waits[len(self.names) > 1])
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def test_each_round_sends_one_prompt_alone_and_then_its_batch() -> None:
    asked = Asked()
    asyncio.run(run_rounds(asked, 16, 2048, 50))
    assert asked.names[:2] == ["0-1-0-alone", "0-1-0"]
    assert [sum(name.startswith(f"{number}-") for name in asked.names) for number in range(4)] == [2, 9, 8, 17]


def test_a_long_context_is_each_requests_own() -> None:
    """What all requests read would stay in the processor's cache, and look cheaper than the context of a real job."""
    asked = Asked()
    asyncio.run(run_rounds(asked, 16, 2048, 50))
    assert len({tuple(asked.prompts[f"2-8-{i}"][:32]) for i in range(8)}) == 8
    assert len({tuple(asked.prompts[f"1-8-{i}"]) for i in range(8)}) == 1


def test_a_cold_first_step_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_rounds, "_SECONDS", 0.2)
    asked = Asked(first=0.3)
    assert asyncio.run(run_rounds(asked, 16, 2048, 50)) < 0.2
    assert "3-16-15" in asked.names


def test_rounds_end_with_their_time_and_abort_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_rounds, "_SECONDS", 0.2)
    monkeypatch.setattr(profile_rounds, "_FIRST_SECONDS", 0.4)
    asked, began = Asked(others=0.15), time.monotonic()
    asyncio.run(run_rounds(asked, 16, 2048, 50))
    assert time.monotonic() - began < 1.0
    assert "0-1-0" in asked.names
    assert not any(name.startswith("2-") for name in asked.names)
    assert asked.cancelled > 0


def test_no_room_for_a_round_is_no_round() -> None:
    asked = Asked()
    asyncio.run(run_rounds(asked, 16, 64, 50))
    assert asked.names == []
