"""An engine in front of a server that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from sparkllm.backend.chat import Chat
from sparkllm.backend.endpoint.endpoint_engine import EndpointEngine
from sparkllm.backend.engine import Answer, EngineSpec, Sampling
from sparkllm.config import LLMConfig
from sparkllm.udf.tokens import ChatTokenizer

from .misbehaving import Misbehaving, misbehaving

KEY = "sk-CanaryOfTheKey"
Ask = Callable[..., list[Answer]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with misbehaving() as one:
        yield one


@pytest.fixture
def ask(server: Misbehaving) -> Ask:
    """Asks about texts, all at a time, and gives what the engine answers; settings are those of the session."""

    def asked(
        texts: str | Sequence[str], sampling: Sampling | None = None, system: str = "", **settings: Any
    ) -> list[Answer]:
        some = [texts] if isinstance(texts, str) else list(texts)
        return asyncio.run(_asked(some, sampling or Sampling(), system, {"base_url": server.url} | settings))

    return asked


async def _asked(texts: list[str], sampling: Sampling, system: str, settings: dict[str, Any]) -> list[Answer]:
    engine = EndpointEngine(EngineSpec.of(LLMConfig(model="openai:some/model", **settings), None, "tests"))
    try:
        await engine.prepare()
        frame = engine.frame(Chat(system=system))
        tokenizer = ChatTokenizer.shared(engine.info.tokenizer_json, frame.prefix, frame.suffix)
        prompts = tokenizer.encode(texts)
        return list(await asyncio.gather(*(engine.answer(str(i), ids, sampling) for i, ids in enumerate(prompts))))
    finally:
        await engine.close()
