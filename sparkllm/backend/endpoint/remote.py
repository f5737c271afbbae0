"""One endpoint over HTTP: asked again where that may help, given up where it does not.

Three kinds of trouble. What is wrong with the address, the key or the model is wrong for all rows: `EndpointError` at
once. A server that is busy or away is asked again for as long as it answers anything, and `retry_seconds` longer. One
that fails over the same request several times, and answers others meanwhile, fails over that row.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass
from typing import Any

import httpx2

from sparkllm.backend.endpoint.reply import is_completion, refusal_words
from sparkllm.backend.endpoint.setbacks import OF_THE_ROW, PASSES, Setback, back_off, wanted_wait
from sparkllm.backend.endpoint.settings import EndpointSettings
from sparkllm.backend.log_line import log_line
from sparkllm.errors import EndpointError

__all__ = ["Remote", "Reply"]

_CONNECT_SECONDS = 10.0
_ROW_TRIES = 4
_QUIET_SECONDS = 60.0  # between two lines of the log that say the same
_COMPLETIONS, _MODELS = "chat/completions", "models"
_NO_MONEY = "insufficient_quota"


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    Attributes:
        data: a completion; None where there is none.
        refusal: why the server does not take the request, in words that may be logged.
        failure: why the request was given up; it is the row's.
    """

    data: dict[str, Any] | None = None
    refusal: str = ""
    failure: str = ""


class Remote:
    """Belongs to one event loop, as its connections do."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._client = httpx2.AsyncClient(
            base_url=settings.base_url + "/",
            timeout=httpx2.Timeout(settings.timeout_seconds, connect=min(_CONNECT_SECONDS, settings.timeout_seconds)),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=settings.concurrency),
        )
        self._not_before = 0.0  # the server has asked everybody to wait until then
        self._answered = 0.0  # when it last did what it was asked
        self._probing = asyncio.Lock()
        self._said: dict[str, float] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def complete(self, body: dict[str, Any]) -> Reply:
        """Ask for one completion, as often as it takes.

        Raises:
            EndpointError: no row can be answered.
        """
        began, tries = time.monotonic(), 0
        while True:
            await self._wait_as_told()
            found = await self._try("POST", _COMPLETIONS, body)
            if isinstance(found, Reply):
                self._answered = time.monotonic()
                return found
            tries += 1
            self._say(found.reason)
            if found.of_row and tries >= _ROW_TRIES and await self._answers_others(began):
                return Reply(
                    failure=f"the server failed {tries} times over this row, and not over others: {found.reason}"
                )
            await self._bear(found, began, tries)

    async def models(self) -> list[dict[str, Any]]:
        """What the server says of its models; nothing where it does not tell.

        Raises:
            EndpointError: it is away, or does not take the key.
        """
        began, tries = time.monotonic(), 0
        while True:
            await self._wait_as_told()
            found = await self._try("GET", _MODELS)
            if isinstance(found, Reply):
                listed = (found.data or {}).get("data")
                return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            tries += 1
            if found.of_row and tries >= _ROW_TRIES:
                return []
            await self._bear(found, began, tries)

    async def _try(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply | Setback:
        headers = {"Authorization": f"Bearer {key}"} if (key := self._settings.key(os.environ)) else {}
        seconds = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(seconds):  # httpx counts from byte to byte
                response = await self._client.request(method, path, json=body, headers=headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return Setback(f"no connection: {error or type(error).__name__}")
        except (TimeoutError, httpx2.TimeoutException):
            return Setback(f"no answer within {seconds:g} s (spark.sparkllm.endpointTimeoutSeconds)", of_row=True)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            return Setback(f"the connection broke: {error or type(error).__name__}", of_row=True)
        return self._read(response, body, key)

    def _read(self, response: httpx2.Response, body: dict[str, Any] | None, key: str) -> Reply | Setback:
        try:
            data = response.json()
        except ValueError:  # no JSON, or no UTF-8
            data = None
        status = response.status_code
        if status == 200 and (isinstance(data, dict) if body is None else is_completion(data)):
            return Reply(data)
        words = refusal_words(data, body["messages"] if body is not None else [], key)
        if status == 200:
            return Setback("an answer that is no chat completion in JSON", of_row=True)
        if status == 402 or _NO_MONEY in words:
            raise self._error(f"the account has no credit left ({status})", "add some, or take another key")
        if status in PASSES or status >= 500:
            return Setback(f"status {status}: {words}", status in OF_THE_ROW, wanted_wait(response.headers))
        if body is not None or status == 401:
            self._check_address(status, bool(key), words)
        return Reply(refusal=f"{status}: {words}")

    def _check_address(self, status: int, has_key: bool, words: str) -> None:
        where = self._settings.where_the_key_is
        if status == 401:
            found = "the server does not take the API key (401)" if has_key else "the server wants an API key (401)"
            raise self._error(found, f"put {'the right one' if has_key else 'one'} {where}")
        if status == 403:
            raise self._error(f"the key may not do this (403: {words})", f"give it the right, or put another {where}")
        if status == 404:
            todo = "correct the name after openai: in the model, or spark.sparkllm.baseUrl, which stands before"
            raise self._error(f"no model {self._settings.model!r} there (404: {words})", f"{todo} /{_COMPLETIONS}")
        if status < 400 or status == 405:
            raise self._error(f"status {status}: another address", "correct spark.sparkllm.baseUrl")

    async def _bear(self, setback: Setback, began: float, tries: int) -> None:
        """Wait for the next try.

        Raises:
            EndpointError: it has been tried for long enough.
        """
        patience, now = self._settings.retry_seconds, time.monotonic()
        without = now - max(began, self._answered)
        wait = setback.wait if setback.wait is not None else back_off(tries - 1)
        if (setback.wait or 0.0) > patience or without > patience:
            told = f"; it wants to be asked again in {setback.wait:.0f} s" if setback.wait is not None else ""
            raise self._error(
                f"{setback.reason}, no answer to anything for {without:.0f} s{told}",
                "see to the server and run the query again, or raise spark.sparkllm.endpointRetrySeconds",
            )
        if setback.wait is not None:
            self._not_before = max(self._not_before, now + wait)
        else:
            await asyncio.sleep(wait)

    async def _wait_as_told(self) -> None:
        """Limits are the key's: what one request is told holds for all, which do not come back all at once."""
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left + random.uniform(0.0, min(1.0, left)))

    async def _answers_others(self, since: float) -> bool:
        """Whether the server has answered anything since then, or answers something harmless now."""
        async with self._probing:
            if self._answered <= since:
                harmless = [{"role": "user", "content": "Say yes."}]
                found = await self._try("POST", _COMPLETIONS, {"model": self._settings.model, "messages": harmless})
                self._answered = time.monotonic() if isinstance(found, Reply) else self._answered
            return self._answered > since

    def _error(self, found: str, todo: str) -> EndpointError:
        return EndpointError(
            f"expected the endpoint {self._settings.base_url} to answer, found: {found}. To do: {todo}. "
            f"What was answered is kept"
        )

    def _say(self, reason: str) -> None:
        now, kind = time.monotonic(), reason.partition(":")[0]  # what follows is the server's, and may always differ
        if now - self._said.get(kind, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._said[kind] = now
            log_line(f"the endpoint is asked again: {reason}")
