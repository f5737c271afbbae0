"""vLLM's AsyncLLM behind the `Engine` protocol; the only module that imports vllm."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparkllm.backend.answer_text import AnswerReader
from sparkllm.backend.chat import Chat, Frame, Frames, fast_tokenizer, own_renderer, start_of_text
from sparkllm.backend.chat_template import default_template
from sparkllm.backend.engine import Answer, EngineInfo, EngineSpec, Sampling
from sparkllm.backend.json_grammar import json_grammar
from sparkllm.backend.ledger.fingerprint import answers_fingerprint
from sparkllm.backend.model_files import LEGACY_TEMPLATE
from sparkllm.backend.profile_rounds import run_rounds
from sparkllm.backend.speculation import SCHEDULERS, SPECULATION, read_sums, speculative
from sparkllm.backend.thoughts import Thoughts
from sparkllm.backend.vllm_environment import in_one_process, prepare_environment
from sparkllm.errors import EngineDiedError

__all__ = ["VLLMEngine"]

_GIB = 1024**3
_THINK_PARSER = "deepseek_r1"  # vLLM's name of the one that knows <think> and </think>
_MANY = 1024  # sequences in one step; vLLM takes its own limit where that is lower


class VLLMEngine:
    """One AsyncLLM. Make it on the running event loop that will ask it."""

    def __init__(self, spec: EngineSpec, folder: Path) -> None:
        """Load tokenizer and model; `folder` is for the engine's files.

        Raises:
            EngineStartError: no chat template, or no fast tokenizer; whatever vLLM raises otherwise.
        """
        prepare_environment(spec, folder)
        # Imported here: importing takes seconds, and the environment must be ready before torch reads it.
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self._summary = folder / "speculation.json"
        self._summary.unlink(missing_ok=True)
        arguments = AsyncEngineArgs(**engine_arguments(spec, self._summary))
        # First the tokenizer: a model without a template is told in seconds, not after its weights are loaded.
        tokenizer = _tokenizer(arguments)
        text_tokenizer = fast_tokenizer(tokenizer)
        render, template = own_renderer(tokenizer, spec.chat_template or _legacy_template(tokenizer, arguments))
        thoughts = Thoughts.of(text_tokenizer, template)
        self._frames = Frames(render, thoughts, start_of_text(text_tokenizer, template))
        frame = self._frames.of(Chat())
        config = vllm_config(spec, self._summary)
        if thoughts is not None and thoughts.may_hold_after:
            config.structured_outputs_config.reasoning_parser = _THINK_PARSER
        self._speculates = config.scheduler_config.scheduler_cls in SCHEDULERS.values()
        if in_one_process(spec):
            # vLLM's CPU platform has just said spawn, for workers bound to cores; here are none. A forked process
            # has vLLM imported already: 13 s to start instead of 24, on two cores.
            os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
        self._llm = AsyncLLM.from_vllm_config(config, disable_log_stats=arguments.disable_log_stats)
        self._structured_backend = self._llm.vllm_config.structured_outputs_config.backend
        self._vocabulary = self._llm.model_config.get_vocab_size()
        self._reader = AnswerReader(text_tokenizer, thoughts)
        self.info = _info(self._llm, spec, str(text_tokenizer.to_str()), frame)

    @property
    def dead(self) -> bool:
        """Whether vLLM's engine process is gone."""
        return bool(self._llm.errored)

    def frame(self, chat: Chat) -> Frame:
        """See `Engine.frame`."""
        return self._frames.of(chat)

    async def answer(self, request_id: str, token_ids: list[int], sampling: Sampling) -> Answer:
        """See `Engine.answer`."""
        from vllm.inputs import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError

        # vLLM checks the upper end; a negative id would index the embedding from its end.
        if min(token_ids, default=0) < 0 or max(token_ids, default=0) >= self._vocabulary:
            return Answer(
                None, f"the prompt has token ids outside the model's vocabulary (0 to {self._vocabulary - 1})"
            )
        final = None
        try:
            parameters = _parameters(sampling, self._structured_backend)
            # Of a request without structured output vLLM asks nothing of the kind; of the others it would else guess.
            ended = not self._reader.thinks_first(token_ids) if parameters.structured_outputs else None
            outputs = self._llm.generate(tokens_input(token_ids), parameters, request_id, reasoning_ended=ended)
            async for output in outputs:
                final = output
            return self._read(final, sampling)
        except EngineDeadError as error:
            raise EngineDiedError(str(error)) from error
        except Exception as error:
            if self.dead:
                raise EngineDiedError(str(error)) from error
            return Answer(None, _reason(error))

    def _read(self, final: Any, sampling: Sampling) -> Answer:
        if final is None or not final.outputs:
            return Answer(None, "the engine gave no answer")
        output = final.outputs[0]
        cached = final.num_cached_tokens or 0
        return self._reader.read(final.prompt_token_ids, output.token_ids, output.finish_reason, sampling, cached)

    async def reset_prefix_cache(self) -> None:
        """See `Engine.reset_prefix_cache`."""
        await self._llm.reset_prefix_cache()

    async def ping(self) -> None:
        """See `Engine.ping`."""
        await self._llm.is_sleeping()  # any question would do: vLLM's engine process answers it between two steps

    async def prepare(self) -> None:
        """Measure how long steps take, where draft lengths are to be chosen; `run_rounds` says how long that takes."""
        if self._speculates:
            config = self._llm.vllm_config
            limits = (config.scheduler_config.max_num_seqs, config.model_config.max_model_len, self._vocabulary)
            seconds = await run_rounds(self._profile, *limits)
            await self._llm.reset_prefix_cache()
            print(f"sparkllm: measured the engine's steps for speculative decoding in {seconds:.1f} s")

    def close(self) -> None:
        """End vLLM's processes, where this one goes on; those of a server end with its process group."""
        self._llm.shutdown()
        del self._llm  # left to the interpreter's end, it would try again when half of it is gone

    def speculation(self) -> dict[str, int]:
        """See `Engine.speculation`."""
        if not self._speculates:
            return {}
        # The scheduler writes the file when it begins: without one, it could not.
        sums = read_sums(self._summary) or {"fallbacks": 1}
        return {name: sums.get(name, 0) for name in SPECULATION}

    async def _profile(self, name: str, token_ids: list[int], max_tokens: int) -> None:
        from vllm import SamplingParams
        from vllm.inputs import tokens_input

        parameters = SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True, detokenize=False)
        async for _ in self._llm.generate(tokens_input(token_ids), parameters, name):
            pass


def vllm_config(spec: EngineSpec, summary: Path) -> Any:
    """vLLM's configuration, with the scheduler that speculates where `spec` asks for it."""
    from vllm import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    # In one context vLLM takes the batch limits of offline work on a GPU (up to 1,024 sequences), in the other 128.
    usage = UsageContext.ENGINE_CONTEXT if spec.devices == "cpu" else UsageContext.LLM_CLASS
    try:
        config = AsyncEngineArgs(**engine_arguments(spec, summary)).create_engine_config(usage)
    except Exception as error:
        if spec.speculation != "auto":
            raise
        print(f"sparkllm: this engine does not speculate, as vLLM refuses it here: {_reason(error)}")
        return vllm_config(replace(spec, speculation="off"), summary)
    scheduling = config.scheduler_config
    if spec.speculation != "off" and scheduling.scheduler_cls is None:
        # vLLM decides only now whether scheduling is asynchronous; the other class would switch it off.
        scheduling.scheduler_cls = SCHEDULERS[bool(scheduling.async_scheduling)]
    return config


def engine_arguments(spec: EngineSpec, summary: Path) -> dict[str, Any]:
    """The arguments of vLLM's AsyncEngineArgs; `engine_options` last, so that the user has the last word."""
    cpu = spec.devices == "cpu"
    arguments: dict[str, Any] = {
        "model": spec.model,
        "dtype": spec.dtype,
        "trust_remote_code": spec.trust_remote_code,
        "enable_prefix_caching": True,
        # Counters come with each answer; vLLM's own statistics cost time on every step.
        "disable_log_stats": True,
        "enable_log_requests": False,
    }
    chosen = {
        "max_model_len": spec.max_model_len,
        # vLLM's 128 on a CPU would cache next to nothing of short prompts; its kernels take multiples of 32.
        "block_size": spec.block_size or (32 if cpu else 0),
        "max_num_seqs": spec.max_num_seqs,
        "kv_cache_memory_bytes": int((spec.kv_cache_gib or (1.0 if cpu else 0.0)) * _GIB),
    }
    arguments |= {name: value for name, value in chosen.items() if value}
    if cpu:
        # torch.compile takes 45 s at each start on two cores, for 5 to 15 % more answers a second.
        arguments["enforce_eager"] = True
    else:
        arguments["gpu_memory_utilization"] = spec.gpu_memory_utilization
    options = json.loads(spec.engine_options)
    varying = 0 if cpu or spec.speculation == "off" or not _varying_lengths() else spec.max_num_seqs or _MANY
    ours = speculative(spec.speculation, summary, varying)
    if ours:
        theirs = options.pop("additional_config", {})
        sparkllm = ours["additional_config"]["sparkllm"] | theirs.get("sparkllm", {})
        ours["additional_config"] = theirs | {"sparkllm": sparkllm}
    return {**arguments, **ours, **options}


def _varying_lengths() -> bool:
    """Whether this version of vLLM knows draft lengths that vary, and picks its CUDA graphs for them."""
    from vllm.config import SpeculativeConfig

    return "num_speculative_tokens_per_batch_size" in SpeculativeConfig.__dataclass_fields__


def _tokenizer(arguments: Any) -> Any:
    from vllm.tokenizers import get_tokenizer

    return get_tokenizer(
        arguments.tokenizer or arguments.model,
        tokenizer_mode=arguments.tokenizer_mode,
        trust_remote_code=arguments.trust_remote_code,
        revision=arguments.tokenizer_revision or arguments.revision,
        download_dir=arguments.download_dir,
    )


def _legacy_template(tokenizer: Any, arguments: Any) -> str:
    """That of a model whose template is in a file of its own, which transformers reads for pictures alone."""
    from transformers.utils import cached_file

    if getattr(tokenizer, "chat_template", None):
        return ""
    never = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors", "gated_repo")}
    source = {"revision": arguments.tokenizer_revision or arguments.revision, "cache_dir": arguments.download_dir}
    path = cached_file(arguments.tokenizer or arguments.model, LEGACY_TEMPLATE, **source, **never)
    text = Path(path).read_text(encoding="utf-8") if path else "{}"
    return default_template(json.loads(text).get("chat_template"))


def _info(llm: Any, spec: EngineSpec, tokenizer_json: str, frame: Frame) -> EngineInfo:
    import vllm

    config = llm.vllm_config
    length, revision = config.model_config.max_model_len, _revision(config.model_config)
    return EngineInfo(
        model=spec.model,
        max_model_len=length,
        block_size=config.cache_config.block_size,
        device=config.device_config.device_type,
        tokenizer_json=tokenizer_json,
        chat_prefix=frame.prefix,
        chat_suffix=frame.suffix,
        vllm_version=vllm.__version__,
        cache_tokens=(config.cache_config.num_gpu_blocks or 0) * config.cache_config.block_size,
        fingerprint=answers_fingerprint(spec, revision, tokenizer_json, frame.prefix + "\0" + frame.suffix, length),
        max_num_seqs=config.scheduler_config.max_num_seqs,
    )


def _revision(model: Any) -> str:
    """The commit of a hub model that was loaded; empty for a folder."""
    return str(getattr(model.hf_config, "_commit_hash", None) or "")


@functools.lru_cache(maxsize=64)
def _parameters(sampling: Sampling, structured_backend: str) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=sampling.max_tokens,
        min_tokens=sampling.min_tokens,
        temperature=sampling.temperature,
        seed=sampling.seed,
        structured_outputs=_structured(sampling, structured_backend),
        # One message per request, not one per token.
        output_kind=RequestOutputKind.FINAL_ONLY,
        # `_read` decodes once per answer. vLLM's decoder starts from the prompt, token by token, and puts the whole
        # prompt into the answer where the prompt's last bytes are no valid UTF-8.
        detokenize=False,
    )


def _structured(sampling: Sampling, backend: str) -> Any:
    from vllm.sampling_params import StructuredOutputsParams

    if sampling.choices:
        return StructuredOutputsParams(choice=list(sampling.choices))
    if not sampling.json_schema:
        return None
    if backend in ("auto", "xgrammar"):
        return StructuredOutputsParams(grammar=json_grammar(json.loads(sampling.json_schema)))
    return StructuredOutputsParams(json=sampling.json_schema)


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    return str(cause) or type(cause).__name__
