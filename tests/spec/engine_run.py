"""Decodes a job on one real engine, vLLM's loop in this very process, and prints what came out as JSON.

python -m tests.spec.engine_run FOLDER DRAFTER [DTYPE]

DRAFTER is off, ngram, suffix, broken (n-grams under a policy that raises), draft:<model>, where <model> may be demo, or
eagle:<head>.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter, deque
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

PROFILE = {
    # Drafts are nearly free, so that many are verified.
    "target": [[1, 0, 0.004], [8, 0, 0.0041], [64, 0, 0.005], [512, 0, 0.02]],
    "draft": [],
}
PROMPTS = 240
_LONG, _ABORTED, _LABELS, _JSON = 11, 13, 7, 10  # every how-manieth prompt
_SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "n": {"type": "integer"}}}


def prompts(vocabulary: int) -> list[list[int]]:
    """Random texts, texts that repeat themselves, shared beginnings, and some longer than a step takes."""
    rng = np.random.default_rng(0)
    shared = rng.integers(10, vocabulary, 150).tolist()
    out = []
    for i in range(PROMPTS):
        words = rng.integers(10, vocabulary, int(rng.integers(3, 40))).tolist()
        text = words * int(rng.integers(1, 4)) if i % 2 else words
        text = shared + text if i % 3 == 0 else text
        out.append((text * 40)[:500] if i % _LONG == 0 else text[:300])
    return out


def parameters(i: int) -> Any:
    """Greedy ones; labels and JSON mixed in.

    None with a seed: vLLM 0.32 on a CPU ends where the prompt of such a request is computed in chunks.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    rng = np.random.default_rng(i)
    structured = None
    if i % _LABELS == 0:
        structured = StructuredOutputsParams(choice=["positive", "negative", "neutral"])
    elif i % _JSON == 0:
        structured = StructuredOutputsParams(json=_SCHEMA)
    return SamplingParams(
        max_tokens=int(rng.integers(10, 60)) if i % 5 else int(rng.integers(1, 4)),
        min_tokens=10 if i % 5 and i % 2 and structured is None else 0,
        structured_outputs=structured,
        temperature=0.0,
        detokenize=False,
    )


def an_engine(folder: Path, drafter: str, dtype: str) -> Any:
    """Small enough a KV cache that requests are preempted, small enough steps that prompts are chunked."""
    from vllm import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    from sparkllm.backend.speculation import SCHEDULERS, speculative

    with resources.as_file(resources.files("sparkllm") / "demo" / "model") as model:
        kind = {"broken": "ngram", "draft:demo": f"draft:{model}"}.get(drafter, drafter)
        ours = speculative(kind, folder / "sums")
        if ours:
            ours["additional_config"]["sparkllm"] |= {"profile": PROFILE, "trace": str(folder / "trace")}
            ours["scheduler_cls"] = SCHEDULERS[False]
        return LLMEngine.from_engine_args(
            EngineArgs(
                model=str(model),
                dtype=dtype,
                enforce_eager=True,
                block_size=32,
                num_gpu_blocks_override=34,
                kv_cache_memory_bytes=2**28,
                max_num_seqs=24,
                max_num_batched_tokens=256,
                max_model_len=1024,
                disable_log_stats=True,
                **ours,
            )
        )


def decode(engine: Any) -> dict[str, Any]:
    """All prompts, a few at a time; some are aborted under way."""
    scheduler = engine.engine_core.engine_core.scheduler
    waiting = deque(enumerate(prompts(engine.model_config.get_vocab_size())))
    tokens: dict[str, list[int]] = {}
    seen = Counter(preemptions=0, cached=0, chunked=0, aborted=0)
    while waiting or engine.has_unfinished_requests():
        for i, text in [waiting.popleft() for _ in range(min(8, len(waiting)))]:
            engine.add_request(f"r{i}", {"prompt_token_ids": text}, parameters(i))
        running = list(scheduler.running)
        seen["chunked"] += sum(0 < r.num_computed_tokens < r.num_prompt_tokens for r in running)
        seen["preemptions"] += sum(r.num_preemptions > 0 for r in scheduler.waiting)
        # In the middle of their answers; which name vLLM gives them inside is its own affair.
        doomed = [r.request_id for r in running if _number(r) % _ABORTED == 5 and r.num_output_tokens > 2]
        engine.abort_request(doomed, internal=True)
        seen["aborted"] += len(doomed)
        for output in engine.step():
            if output.finished and output.outputs[0].finish_reason in ("stop", "length"):
                tokens[output.request_id] = list(output.outputs[0].token_ids)
                seen["cached"] += output.num_cached_tokens or 0
    return {"tokens": tokens, **seen}


def _number(request: Any) -> int:
    return int(request.request_id.removeprefix("r").split("-")[0])


def main(folder: Path, drafter: str, dtype: str = "float32") -> None:
    """The command line."""
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    warnings: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("sparkllm").addHandler(handler)
    if drafter == "broken":
        _break()
    result = decode(an_engine(folder, drafter, dtype))
    (folder / "result").write_text(json.dumps({**result, "warnings": warnings}))


def _break() -> None:
    from sparkllm.spec.policy import DraftPolicy

    whole, calls = DraftPolicy.choose, iter(range(10**9))

    def choose(self: DraftPolicy, *args: Any) -> dict[str, int]:
        if next(calls) == 25:
            raise ZeroDivisionError("a mistake in the policy")
        return whole(self, *args)

    DraftPolicy.choose = choose  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
