"""What one engine may spend of one query's budget: requests wait here for their part, or are refused."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from sparkllm.backend.control.budget import Budget
from sparkllm.backend.control.messages import Grant, Holding
from sparkllm.backend.control.share import Share
from sparkllm.backend.engine import Answer

__all__ = ["Spending"]

# Past its time, the engine asks the driver once more; without an answer until then, it stops by itself.
_GRACE_SECONDS = 0.5


class Spending:
    """Belongs to the engine's event loop; `wake` asks for an exchange with the driver soon."""

    def __init__(self, budget: Budget, wake: Callable[[], None]) -> None:
        self.budget = budget
        self.ended = ""
        self._wake = wake
        self._shares = {name: Share() for name in budget.counted}
        self._lookahead = dict.fromkeys(self._shares, 0)
        self._waiting: deque[tuple[int, asyncio.Future[bool]]] = deque()
        self._asking: set[asyncio.Task[object]] = set()
        self._stopped: set[asyncio.Task[object]] = set()
        self._met_driver = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def wanting(self) -> bool:
        """Whether requests wait that cannot go on without the driver."""
        return any(not future.done() for _, future in self._waiting)

    async def answer(self, most_tokens: int, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `ask` answers, once the budget has room for a call of at most so many tokens; else why not."""
        if not await self._admit(most_tokens):
            return self._refusal()
        task, spent = asyncio.current_task(), most_tokens  # nobody knows what an aborted request has computed
        assert task is not None
        self._asking.add(task)
        try:
            answer = await ask()
            spent = answer.prompt_tokens - answer.cached_tokens + answer.output_tokens
            return answer
        except asyncio.CancelledError:
            if task not in self._stopped:
                raise
            task.uncancel()
            return self._refusal()
        finally:
            self._asking.discard(task)
            self._stopped.discard(task)
            self._settle("tokens", most_tokens, min(spent, most_tokens))
            self._serve()

    def holdings(self, second_passed: bool, idle: bool) -> dict[str, Holding]:
        """What to tell the driver; what is told as given back is no longer spent here.

        Args:
            second_passed: since the last call with this true; then what was not used in that second goes back.
            idle: the query has no requests here; then all goes back.
        """
        if second_passed:
            self._lookahead = {name: max(0, share.spent_lately()) for name, share in self._shares.items()}
        self._drop_cancelled()
        needs = self._needs(self._waiting[0][0]) if self._waiting else {}
        wants = self._wants() if needs else {}
        for name, share in self._shares.items():
            # All of it where it is too little: two engines that hold a half each would wait for each other.
            if needs or idle or second_passed:
                share.lower(0 if needs or idle else self._lookahead[name])
        return {name: s.holding(needs.get(name, 0), wants.get(name, 0)) for name, s in self._shares.items()}

    def take(self, grant: Grant) -> None:
        """What the driver has answered."""
        for name, extra in grant.extra.items():
            self._shares[name].granted += extra
        self._set_timer(grant.seconds)
        self._met_driver = True
        if grant.ended:
            self.end(grant.ended, grant.stop)
        self._serve()

    def end(self, why: str, stop: bool) -> None:
        """Refuse what waits and what will come; with `stop`, abort what is under way, too."""
        self.ended = self.ended or why
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(False)
        if stop:
            for task in self._asking - self._stopped:
                self._stopped.add(task)
                task.cancel()

    async def _admit(self, tokens: int) -> bool:
        if self.ended:
            return False
        if self._met_driver and not self.wanting and self._fits(tokens):
            self._reserve(tokens)
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, future))
        self._wake()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.result():
                self._settle("calls", 0, -1)
                self._settle("tokens", tokens, 0)
            raise

    def _serve(self) -> None:
        """Let go on who waits, in order, as far as there is room."""
        while self._met_driver and self._waiting:
            tokens, future = self._waiting[0]
            if not future.done():
                if not self._fits(tokens):
                    self._wake()
                    return
                self._reserve(tokens)
                future.set_result(True)
            self._waiting.popleft()

    def _drop_cancelled(self) -> None:
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()

    def _needs(self, tokens: int) -> dict[str, int]:
        return {"calls": 1, "tokens": tokens}

    def _fits(self, tokens: int) -> bool:
        needs = self._needs(tokens)
        return all(share.free >= needs[name] for name, share in self._shares.items())

    def _reserve(self, tokens: int) -> None:
        for name, need in self._needs(tokens).items():
            if name in self._shares:
                self._shares[name].reserve(need)
        self._settle("calls", 1, 1)  # sent is spent

    def _settle(self, name: str, reserved: int, spent: int) -> None:
        if name in self._shares:
            self._shares[name].settle(reserved, spent)

    def _wants(self) -> dict[str, int]:
        """For all that waits, and for as much as the last second took."""
        waiting = [tokens for tokens, future in self._waiting if not future.done()]
        wants = {"calls": len(waiting), "tokens": sum(waiting)}
        return {name: wants[name] + ahead for name, ahead in self._lookahead.items()}

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds is not None and not self.ended:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, seconds), self._out_of_time)

    def _out_of_time(self) -> None:
        self._wake()
        why = f"{Budget.setting('seconds' if self.budget.seconds else 'cost')} (the driver did not answer any more)"
        self._timer = asyncio.get_running_loop().call_later(_GRACE_SECONDS, self.end, why, True)

    def _refusal(self) -> Answer:
        return Answer(
            None,
            f"the query's budget is used up: {self.ended}. Answers so far are kept where the ledger is on; run the "
            f"query again, with a larger budget if need be, and only the rest is asked",
            over_budget=True,
        )
