"""A server that speaks OpenAI's chat completions, behind the `Engine` protocol: everything around it stays as it is."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from sparkllm.backend.chat import Chat, Frame
from sparkllm.backend.endpoint.body import Dialect, body_of
from sparkllm.backend.endpoint.messages import EndpointText, marked
from sparkllm.backend.endpoint.remote import Remote, Reply
from sparkllm.backend.endpoint.reply import read_answer
from sparkllm.backend.endpoint.settings import EndpointSettings
from sparkllm.backend.engine import Answer, EngineInfo, EngineSpec, Sampling
from sparkllm.backend.ledger.fingerprint import endpoint_fingerprint
from sparkllm.backend.log_line import log_line
from sparkllm.backend.model_files import model_files
from sparkllm.errors import EndpointError, EngineStartError

__all__ = ["EndpointEngine"]

_LENGTH = 128_000  # tokens; where neither the user nor the server says
_LENGTHS = ("max_model_len", "context_length", "context_window", "max_context_length")  # vLLM's name, and others'
_BLOCK = 128  # tokens: OpenAI's cache serves prefixes in such steps


class EndpointEngine:
    """Make it, and `prepare` it, on the running event loop that will ask it."""

    dead = False  # it has nothing that can die; what no row can be answered without is an EndpointError

    def __init__(self, spec: EngineSpec) -> None:
        """Read the tokenizer.

        Raises:
            EngineStartError: there is none that gives texts back as they were.
        """
        self._settings = settings = EndpointSettings.from_json(spec.endpoint)
        tokenizer_json = marked(model_files(settings.tokenizer), settings.tokenizer)
        self._text = EndpointText(tokenizer_json)
        self._options = json.loads(settings.options)
        self._dialect = Dialect.of(settings.base_url)
        self._remote = Remote(settings)
        self._room = asyncio.Semaphore(settings.concurrency)
        self._failure: EndpointError | None = None
        self._failed_at = 0.0
        frame = self._text.frame(Chat())
        self.info = EngineInfo(
            model=spec.model,
            max_model_len=spec.max_model_len or _LENGTH,
            block_size=_BLOCK,
            device="none",
            tokenizer_json=tokenizer_json,
            chat_prefix=frame.prefix,
            chat_suffix=frame.suffix,
            vllm_version="",
            fingerprint=endpoint_fingerprint(settings.base_url, settings.model, self._options),
            # A server lets in two steps' worth of requests (requests.py); what is over waits here.
            max_num_seqs=-(-settings.concurrency // 2),
        )
        self._says_length = bool(spec.max_model_len)

    async def prepare(self) -> None:
        """Ask for the server's models: whether it is there and takes the key, and how long a prompt may be.

        Raises:
            EngineStartError: it does not.
        """
        try:
            models = await self._remote.models()
        except EndpointError as error:
            raise EngineStartError(str(error)) from error
        own: dict[str, Any] = next((one for one in models if one.get("id") == self._settings.model), {})
        length = next((own[name] for name in _LENGTHS if isinstance(own.get(name), int)), 0)
        if length > 0 and not self._says_length:
            self.info = EngineInfo(**{**json.loads(self.info.to_json()), "max_model_len": length})

    def frame(self, chat: Chat) -> Frame:
        """See `Engine.frame`."""
        return self._text.frame(chat)

    async def answer(self, request_id: str, token_ids: list[int], sampling: Sampling) -> Answer:
        """See `Engine.answer`.

        Raises:
            EndpointError: no row can be answered.
        """
        messages = self._text.messages(token_ids)
        if messages is None:
            return Answer(None, "a prompt in the frame of an endpoint's messages was expected, found other tokens")
        reply = await self._in_turn(messages, sampling)
        if reply.data is None:
            return Answer(None, reply.failure or f"the server refuses the request: {reply.refusal}")
        text = str(reply.data["choices"][0]["message"].get("content") or "")
        return read_answer(reply.data, sampling, len(token_ids), self._text.count(text))

    async def _in_turn(self, messages: list[dict[str, str]], sampling: Sampling) -> Reply:
        """What no row can be answered without is found once: those that have waited meanwhile are not sent for it."""
        began = time.monotonic()
        async with self._room:
            if self._failure is not None and self._failed_at >= began:
                raise self._failure
            try:
                return await self._ask(messages, sampling)
            except EndpointError as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise

    async def _ask(self, messages: list[dict[str, str]], sampling: Sampling) -> Reply:
        """In the dialect that is known; where that is refused, in others, of which one that is taken is kept."""
        dialect: Dialect | None = self._dialect
        first = None
        while dialect is not None:
            reply = await self._remote.complete(
                body_of(self._settings.model, messages, sampling, dialect, self._options)
            )
            if reply.data is not None:
                self._learn(dialect)
            if not reply.refusal:
                return reply
            first = first or reply
            dialect = dialect.after(reply.refusal, sampling)
        assert first is not None
        return first

    def _learn(self, dialect: Dialect) -> None:
        known = self._dialect.joined(dialect)
        if known.words() != self._dialect.words():
            log_line(f"the endpoint takes {known.words()}; what it takes no form of is checked when it has answered")
        self._dialect = known

    async def reset_prefix_cache(self) -> None:
        """The server's cache is its own."""

    async def ping(self) -> None:
        """It answers as long as the event loop runs: whether the server does, its requests say."""

    def speculation(self) -> dict[str, int]:
        """None that it tells of."""
        return {}

    async def close(self) -> None:
        """Close its connections, where this process goes on."""
        await self._remote.close()
