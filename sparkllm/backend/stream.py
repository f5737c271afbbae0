"""One client's requests inside the engine: one asyncio task each, on the one loop that owns the engine."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from sparkllm.backend.control.budget import Terms
from sparkllm.backend.engine import Answer, Sampling
from sparkllm.backend.ledger.ledger import Ledger, may_be_kept
from sparkllm.backend.log_line import log_line
from sparkllm.backend.quarantine import digest_of
from sparkllm.backend.wire import Prompt
from sparkllm.errors import EndpointError, EngineDiedError

if TYPE_CHECKING:
    from sparkllm.backend.requests import Requests

__all__ = ["Stream"]

# Answers of one engine step arrive together; waiting this long puts them into one message.
_COALESCE_SECONDS = 0.003


class Stream:
    """The requests of one client. Its public methods belong to the client's thread, the others to the loop."""

    def __init__(
        self,
        requests: Requests,
        name: str,
        sampling: Sampling,
        query: str,
        ledger: Ledger | None,
        terms: Terms | None,
    ) -> None:
        self.in_flight = self.tokens_in_flight = 0
        self._tokens: dict[int, int] = {}  # of each prompt in flight
        self._counts = requests.counts(query)
        self._requests = requests
        self._name = name
        self._sampling = sampling
        self._query = query
        self._ledger = ledger
        self._written_sampling = sampling.to_json()
        self._reporter = requests.reporter(terms) if terms is not None else None
        self._spending = self._reporter.spending(query, terms) if self._reporter and terms else None
        self._tasks: set[asyncio.Task[None]] = set()
        self._died: EngineDiedError | EndpointError | None = None
        self._outcomes: queue.SimpleQueue[tuple[int, Answer] | EngineDiedError | EndpointError] = queue.SimpleQueue()

    def start(self, rows: list[Prompt]) -> None:
        """Hand prompts to the engine."""
        self.in_flight += len(rows)
        self._tokens.update((prompt.id, len(prompt.token_ids)) for prompt in rows)
        self.tokens_in_flight += sum(len(prompt.token_ids) for prompt in rows)
        self._requests.loop.call_soon_threadsafe(self._start, rows)

    def collect(self, timeout: float) -> list[tuple[int, Answer]]:
        """The answers that are there, after waiting at most `timeout` seconds for the first.

        Raises:
            EngineDiedError, EndpointError: the engine is gone, or its endpoint answers no row; all answers that came
                before have been handed over.
        """
        if self._died is not None:
            raise self._died
        try:
            outcomes = [self._outcomes.get(timeout=timeout)]
        except queue.Empty:
            return []
        time.sleep(_COALESCE_SECONDS)
        with contextlib.suppress(queue.Empty):
            while True:
                outcomes.append(self._outcomes.get_nowait())
        answers = []
        for outcome in outcomes:
            if isinstance(outcome, (EngineDiedError, EndpointError)):
                self._died = outcome
            else:
                answers.append(outcome)
        if self._died is not None and not answers:
            raise self._died
        self.in_flight -= len(answers)
        self.tokens_in_flight -= sum(self._tokens.pop(number) for number, _ in answers)
        return answers

    def abort(self) -> None:
        """Abort what is unfinished."""
        self._requests.loop.call_soon_threadsafe(self._abort)

    def _start(self, rows: list[Prompt]) -> None:
        self._tell_open(1 if rows and not self._tasks else 0)
        for prompt in rows:
            task = self._requests.loop.create_task(self._answer(prompt))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def _answer(self, prompt: Prompt) -> None:
        try:
            if self._ledger is None or prompt.key is None:
                answer = await self._ask(prompt)
            else:
                answer = await self._requests.flights.answer(prompt.key, lambda: self._recall_or_ask(prompt))
        except (EngineDiedError, EndpointError) as error:
            self._outcomes.put(error)
            return
        except Exception as error:  # a mistake of ours: the engine serves, and the other rows have their answers
            log_line(traceback.format_exc())
            answer = Answer(None, f"an error in sparkllm itself, see the engine's log: {type(error).__name__}: {error}")
        self._count(from_ledger=int(answer.kept))
        self._outcomes.put((prompt.id, answer))

    async def _recall_or_ask(self, prompt: Prompt) -> Answer:
        """With the key's flight begun, so that an equal request has either been answered or waits for this one."""
        assert self._ledger is not None
        assert prompt.key is not None
        # On the loop: the worker has looked for this key a moment ago, so that it takes some 20 microseconds.
        known = self._ledger.find([prompt.key]).get(prompt.key)
        if known is not None:
            return Answer(known, kept=True)
        answer = await self._ask(prompt)
        if may_be_kept(answer, self._sampling):
            self._ledger.keep(prompt.key, str(answer.text), prompt.field_order or "")
        return answer

    async def _ask(self, prompt: Prompt) -> Answer:
        digest = digest_of(self._query, self._written_sampling, prompt.token_ids)
        if self._requests.engine.dead:  # it is not asked, and so not to be suspected
            raise EngineDiedError("the engine is gone")
        if self._requests.quarantine.holds(digest):
            return self._quarantined()
        if self._spending is None:
            return await self._ask_in_turn(prompt, digest)
        most_tokens = len(prompt.token_ids) + self._sampling.max_tokens
        return await self._spending.answer(most_tokens, lambda: self._ask_in_turn(prompt, digest))

    async def _ask_in_turn(self, prompt: Prompt, digest: bytes) -> Answer:
        turn = self._requests.turns.turn(self._query, len(prompt.token_ids))
        async with turn, self._requests.quarantine.admitted(digest) as deaths:
            self._count(requests=1, resent=int(deaths > 0))
            return replace(await self._ask_engine(prompt), asked=deaths + 1)

    async def _ask_engine(self, prompt: Prompt) -> Answer:
        try:
            answer = await self._requests.engine.answer(f"{self._name}-{prompt.id}", prompt.token_ids, self._sampling)
        except Exception:
            self._count(failed=1)
            raise
        except asyncio.CancelledError:
            self._count(aborted=1)
            raise
        self._count(
            finished=int(answer.error is None),
            failed=int(answer.error is not None),
            prompt_tokens=answer.prompt_tokens,
            cached_tokens=answer.cached_tokens,
            output_tokens=answer.output_tokens,
        )
        return answer

    def _quarantined(self) -> Answer:
        self._count(quarantined=1)
        why = "the engine died each time it was asked this, at last with nothing else under way; it is asked no more"
        self._requests.note(f"row quarantined: {why}", self._query)
        return Answer(None, f"{why}. See the logs of the engines that died, or leave the row out", killed=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._tell_open(0 if self._tasks else -1)
        if not task.cancelled() and (error := task.exception()):
            # A mistake of ours, not of the row: without this the client would wait for ever.
            self._outcomes.put(EngineDiedError(f"{type(error).__name__}: {error}"))

    def _tell_open(self, change: int) -> None:
        if self._reporter is not None and change:
            self._reporter.count_stream(self._query, change)

    def _count(self, **more: int) -> None:
        # `Counter.update` takes five times as long, three times for each request.
        for name, number in more.items():
            self._requests.totals[name] += number
            self._counts[name] += number

    def _abort(self) -> None:
        for task in list(self._tasks):
            task.cancel()
