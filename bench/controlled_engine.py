"""An engine in this very process whose drafts are accepted as often as a benchmark wants, by a sampler of its own.

Target, draft model, scheduler and vLLM's own rejection sampler run as they always do and take their time; then what
the sampler decided is replaced: the draft for the p-th token of request i is accepted where u(i, p) < acceptance, with
random numbers u that do not depend on the draft lengths. So every choice of them meets the same luck.

Draft lengths may be chosen anew between steps: by vLLM's own ways or by the goodput policy.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from engine_clock import Clock, Took

from sparkllm.backend.cpu_dtype import fastest_dtype
from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.profile_rounds import run_rounds
from sparkllm.backend.vllm_engine import vllm_config
from sparkllm.spec.choosers import ByBatch, Known
from sparkllm.spec.driver import Driver
from sparkllm.spec.driver_options import DriverOptions
from sparkllm.spec.goodput import expected_tokens
from sparkllm.spec.live_length import LiveLength
from sparkllm.spec.policy import DraftPolicy
from sparkllm.spec.profile import Profile
from sparkllm.spec.step_time import StepTime
from sparkllm.spec.trace import read_trace
from sparkllm.spec.workload import Request

__all__ = ["ControlledEngine", "Segment"]

_TOKEN = 11  # what every answer is made of
_PROMPT = list(range(20, 277))  # blocks and a token: the next request finds the blocks in the prefix cache
_CARRIED = 2  # steps until the drafts of an earlier choice are used up


@dataclass(frozen=True)
class Segment:
    """Some steps.

    Attributes:
        seconds: their time, by the engine's clock.
        wall_seconds: their wall-clock time.
        tokens: that came out.
        expected: tokens to expect of the draft lengths and the acceptance, without luck.
        lengths: how many requests verified 0, 1, .. drafts.
    """

    seconds: float
    wall_seconds: float
    tokens: int
    expected: float
    lengths: Counter[int]


class ControlledSampler:
    """Takes the place of vLLM's `rejection_sample`."""

    def __init__(self, seed: int) -> None:
        from vllm.v1.sample import rejection_sampler

        self.acceptance: Callable[[int], float] = lambda number: 0.0
        self.runner: Any = None
        self.expected, self.lengths = 0.0, Counter[int]()
        self._seed, self._turn, self._luck = seed, 0, dict[int, Any]()
        self._original = rejection_sampler.rejection_sample
        rejection_sampler.rejection_sample = self

    def __call__(
        self, draft_token_ids: Any, num_draft_tokens: list[int], max_spec_len: int, *args: Any, **kw: Any
    ) -> Any:
        """See vLLM's; (requests, longest draft + 1) tokens, -1 behind the last one."""
        import torch

        out = self._original(draft_token_ids, num_draft_tokens, max_spec_len, *args, **kw)
        names = self.runner.input_batch.req_ids[: len(num_draft_tokens)]
        tokens = np.full((len(names), max_spec_len + 1), -1, dtype=np.int32)
        for i, (name, k) in enumerate(zip(names, num_draft_tokens, strict=True)):
            tokens[i, : 1 + self._accepted(number_of(name), len(self.runner.requests[name].output_token_ids), k)] = (
                _TOKEN
            )
        return torch.from_numpy(tokens).to(out.device, out.dtype)

    def turn(self, number: int) -> None:
        """From here on other random numbers, the same ones for the same turn."""
        self._turn, self._luck = number, {}

    def _accepted(self, number: int, position: int, k: int) -> int:
        """Drafts of a request that are accepted in a row; books what was to be expected."""
        acceptance = self.acceptance(number)
        if k:
            self.expected += float(expected_tokens(acceptance, k)) - 1.0
            self.lengths[k] += 1
        if number not in self._luck:
            self._luck[number] = np.random.default_rng((self._seed, self._turn, number + 1)).random(4096)
        refused = np.flatnonzero(self._luck[number][position : position + k] >= acceptance)
        return int(refused[0]) if len(refused) else k


def number_of(name: str) -> int:
    """The number that a request was given, -1 for one of the profile's; vLLM may add to its name."""
    number = name.split("-")[0]
    return int(number) if number.isdigit() else -1


class ControlledEngine:
    """vLLM's loop, with the target `model` and the draft model `draft`.

    Args:
        model, draft: folders.
        batch: most requests at a time.
        folder: for files.
        options: further arguments of vLLM, as JSON.
        seed: of the sampler's luck.
    """

    def __init__(self, model: Path, draft: Path, batch: int, folder: Path, options: str = "{}", seed: int = 0) -> None:
        os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
        from vllm.v1.engine.llm_engine import LLMEngine

        self.sampler = ControlledSampler(seed)
        trace = {"additional_config": {"sparkllm": {"trace": str(folder / "trace")}}}  # for its first line alone
        spec = EngineSpec(
            application="bench",
            model=str(model),
            fingerprint="",
            devices=(devices := "all" if _gpu() else "cpu"),
            dtype="auto" if devices == "all" else fastest_dtype(),
            max_num_seqs=batch,
            max_model_len=2048,
            speculation=f"draft:{draft}",
            engine_options=json.dumps(trace | json.loads(options)),
        )
        self._engine = LLMEngine.from_vllm_config(vllm_config(spec, folder / "sums"), disable_log_stats=True)
        core: Any = self._engine.engine_core.engine_core  # type: ignore[attr-defined]
        self.scheduler = core.scheduler
        self.most = int(self.scheduler.num_spec_tokens)
        self.sampler.runner = runner = core.model_executor.driver_worker.worker.model_runner
        shape = self._engine.model_config.hf_config
        self.clock = Clock(str(runner.device), self._engine.model_config.dtype)
        self.device, self.shape = str(runner.device), f"hidden {shape.hidden_size}, {shape.num_hidden_layers} layers"
        self._placeholders = bool(self._engine.vllm_config.scheduler_config.async_scheduling)
        self._last = 0
        self.profile = self._profiled(folder / "trace")
        self.acceptance(lambda number: 0.0)

    def acceptance(self, of: Callable[[int], float]) -> None:
        """From here on, by the number of the request."""
        self.sampler.acceptance = of

    def luck(self, turn: int) -> None:
        """From here on that turn's: all choices of a turn meet the same."""
        self.sampler.turn(turn)

    # choices of draft lengths

    def fixed(self, length: int) -> None:
        """vLLM's own way with one length."""
        self._choose(None, LiveLength(length))

    def by_batch(self, acceptance: float) -> None:
        """vLLM's own way with a table from batch size to length, tuned on this acceptance and the engine's profile."""
        table = ByBatch(self.most, StepTime(self.profile), acceptance)
        self._choose(None, _Rows(table))

    def driver(self, known: bool = False) -> Driver:
        """The goodput policy anew; `known`: with the true acceptance instead of estimates."""
        driver = Driver(self.scheduler, DriverOptions("model", profile=self.profile), self._placeholders)
        if known:
            driver.policy = DraftPolicy(self.most, StepTime(self.profile), "model", Known(_Truth(self.sampler)))
        return driver

    def drive(self, driver: Driver) -> None:
        """Draft lengths by `driver`."""
        self._choose(driver, driver.live)

    def _choose(self, driver: Driver | None, lengths: Any) -> None:
        self._chosen = self.scheduler.driver = driver
        self.scheduler.dynamic_sd_lookup = lengths

    def _still_chosen(self) -> None:
        if self.scheduler.driver is not self._chosen:
            raise RuntimeError(
                "the choice of draft lengths failed under way, see the warning above: nothing to compare"
            )

    # requests

    def start(self, lengths: Sequence[int]) -> None:
        """Begin anew, with a request for so many tokens for each of `lengths`."""
        self.stop()
        self._last = 0  # the same luck each time within a turn
        for length in lengths:
            self._add(f"{self._last}-r", _PROMPT, length)

    def stop(self) -> None:
        """End all requests."""
        names = [*self._engine.output_processor.request_states]
        self._engine.abort_request(names, internal=True)
        while self._engine.has_unfinished_requests():
            self._engine.step()

    def turn(self, choose: Callable[[], None], batch: int, number: int) -> Segment:
        """So many steps of a choice, of `batch` requests that all decode, and end later.

        Each turn has new requests of the same names: with what other turns have added, their context would tell more
        than the choice.
        """
        self._decode_together(batch, (_CARRIED + number + 2) * (1 + self.most))
        choose()
        for _ in range(_CARRIED):
            self._engine.step()
        return self._steps(number)

    def _decode_together(self, batch: int, tokens: int) -> None:
        self._choose(None, LiveLength(0))
        self.start([tokens] * batch)
        while any(r.num_output_tokens < 2 for r in self.scheduler.requests.values()):
            self._engine.step()

    def _steps(self, number: int) -> Segment:
        before, batch = self._emitted(), len(self.scheduler.running)
        self.sampler.expected, self.sampler.lengths = 0.0, Counter()
        took = Took()
        for _ in range(number):
            self.clock.step(took, self._engine.step)
        self._still_chosen()
        lengths = self.sampler.lengths
        lengths[0] += batch * number - lengths.total()
        return Segment(
            took.seconds, took.wall_seconds, self._emitted() - before, batch * number + self.sampler.expected, lengths
        )

    def drain(self) -> tuple[Took, list[int]]:
        """Step until all requests have ended; the time it took, and the batch of each step."""
        took, batches = Took(), []
        while self._engine.has_unfinished_requests():
            self.clock.step(took, self._engine.step)
            batches.append(len(self.scheduler.running))
        self._still_chosen()
        return took, batches

    def _emitted(self) -> int:
        return sum(r.num_output_tokens for r in self.scheduler.requests.values())

    def _add(self, name: str, prompt: list[int], max_tokens: int) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        kind = RequestOutputKind.FINAL_ONLY
        parameters = SamplingParams(
            temperature=0, max_tokens=max_tokens, ignore_eos=True, detokenize=False, output_kind=kind
        )
        self._engine.add_request(name, {"prompt_token_ids": prompt}, parameters)
        self._last += 1

    def _profiled(self, trace: Path) -> Profile:
        """As a server measures it at its start."""
        ended: set[str] = set()

        async def ask(name: str, prompt: list[int], max_tokens: int) -> None:
            self._add(name, prompt, max_tokens)
            await asyncio.sleep(0)  # the others of the round come before the first step
            while name not in ended:
                ended.update(output.request_id for output in self._engine.step() if output.finished)
                await asyncio.sleep(0)

        limits = (self.scheduler.max_num_running_reqs, 2048, self._engine.model_config.get_vocab_size())
        asyncio.run(run_rounds(ask, *limits))
        self._chosen = self.scheduler.driver
        self.start([4])
        self.drain()
        return read_trace(trace)[0].profile


class _Rows:
    def __init__(self, table: ByBatch) -> None:
        self._table, self._known = table, dict[int, int]()

    def __getitem__(self, batch: int) -> int:
        if batch not in self._known:
            self._known[batch] = self._table.row(batch)
        return self._known[batch]


class _Truth(dict[str, Request]):
    def __init__(self, sampler: ControlledSampler) -> None:
        super().__init__()
        self._sampler = sampler

    def __missing__(self, name: str) -> Request:
        return Request(name, 0, 0, self._sampler.acceptance(number_of(name)))


def _gpu() -> bool:
    import torch

    return torch.cuda.is_available()
