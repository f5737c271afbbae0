"""vLLM's schedulers with the draft lengths of the highest goodput; the only module here that imports vllm.

    AsyncEngineArgs(scheduler_cls="sparkllm.spec.scheduler.GoodputScheduler", speculative_config={...},
                    additional_config={"sparkllm": {"profile_prefix": ..., "summary": ...}})

A subclass of the wrong one would switch asynchronous scheduling off: `GoodputAsyncScheduler` where
`scheduler_config.async_scheduling` holds, as vLLM itself chooses (SchedulerConfig.get_scheduler_cls).

What is hooked is public or was found by looking (`_missing`), not by version. Whatever goes wrong in here, the engine
goes on as vLLM wrote it, without drafts: one warning, and no second try.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from sparkllm.spec.driver import Driver
from sparkllm.spec.driver_options import DriverOptions
from sparkllm.spec.live_length import LiveLength

__all__ = ["GoodputAsyncScheduler", "GoodputScheduler"]

_LOG = logging.getLogger(__name__)
_NEEDED = (
    "dynamic_sd_lookup",
    "max_num_running_reqs",
    "max_num_scheduled_tokens",
    "num_spec_tokens",
    "running",
    "waiting",
)


class _Goodput:
    """What both schedulers do besides vLLM's own; stands before it among the bases."""

    driver: Driver | None = None
    _placeholders = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guarded(self._take_over)

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        """See vLLM's."""
        self._drive(lambda driver: driver.before())
        output = super().schedule(*args, **kwargs)  # type: ignore[misc]
        self._drive(lambda driver: driver.scheduled(output))
        return output

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
        """See vLLM's."""
        self._drive(lambda driver: driver.after(scheduler_output, model_runner_output))
        outputs = super().update_from_output(scheduler_output, model_runner_output)  # type: ignore[misc]
        self._drive(lambda driver: driver.idle())
        return outputs

    def _take_over(self) -> None:
        if not getattr(self, "num_spec_tokens", 0):
            return  # nothing to decide: the engine does not speculate
        if missing := _missing(self):
            raise LookupError(f"this version of vLLM lacks {missing}")
        config: Any = self.vllm_config  # type: ignore[attr-defined]
        options = DriverOptions.of(config.speculative_config.method, config.additional_config)
        self.driver = Driver(self, options, self._placeholders)
        self.dynamic_sd_lookup = self.driver.live

    def _drive(self, act: Callable[[Driver], None]) -> None:
        if (driver := self.driver) is not None:
            self._guarded(lambda: act(driver))

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:
            _LOG.warning("the choice of draft lengths failed; vLLM goes on without drafts", exc_info=True)
            driver, self.driver = self.driver, None
            with contextlib.suppress(Exception):
                self._without_drafts()
            with contextlib.suppress(Exception):
                if driver is not None:
                    driver.fell_back()

    def _without_drafts(self) -> None:
        config: Any = self.vllm_config  # type: ignore[attr-defined]
        # vLLM's suffix drafter takes no other length than its own; data-parallel ranks must all take the same.
        if config.speculative_config.method != "suffix" and config.parallel_config.data_parallel_size == 1:
            self.dynamic_sd_lookup = LiveLength(0)


class GoodputScheduler(_Goodput, Scheduler):
    """vLLM's Scheduler with live draft lengths."""


class GoodputAsyncScheduler(_Goodput, AsyncScheduler):
    """vLLM's AsyncScheduler with live draft lengths."""

    _placeholders = True


def _missing(scheduler: Any) -> str:
    names = [f"Scheduler.{name}" for name in _NEEDED if not hasattr(scheduler, name)]
    if scheduler.vllm_config.parallel_config.data_parallel_size > 1:
        names.append("draft lengths of their own for data-parallel ranks")
    return ", ".join(names)
