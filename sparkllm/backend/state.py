"""What an engine is doing, as state.json tells every process that asks.

none -> starting -> ready -> stopping -> ended
                \\-> failed
"""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from typing import Any, Literal, Self

from sparkllm.backend.processes import ProcessRef

__all__ = ["ASKED", "FAILURE_KEPT_SECONDS", "IDLE", "UNUSED", "EngineState", "Phase"]

Phase = Literal["none", "starting", "ready", "stopping", "ended", "failed"]

# Reasons of an orderly end, which no request is to blame for.
ASKED, UNUSED, IDLE = "it was asked to stop", "the last process that used it is gone", "it was idle"

# Spark tries a failed task again at once, four times by default: these tries must not load the model again each time.
FAILURE_KEPT_SECONDS = 30.0


@dataclass(frozen=True)
class EngineState:
    """One state.

    Attributes:
        launch: random name of this launch; names the socket.
        since: when the phase began, seconds since the epoch.
        error: why it failed or stops.
        previous: why the launch before this one ended.
        watchdog: leads the process group; absent for the moment between `starting` and its birth.
    """

    phase: Phase = "none"
    launch: str = ""
    since: float = 0.0
    error: str = ""
    watchdog: ProcessRef | None = None
    server: ProcessRef | None = None
    previous: str = ""

    def to(self, phase: Phase, **changes: Any) -> Self:
        """The next state, from now on."""
        return dataclasses.replace(self, phase=phase, since=time.time(), **changes)

    @property
    def running(self) -> bool:
        """Whether the watchdog, and so perhaps the engine, is still there."""
        return self.watchdog is not None and self.watchdog.alive

    @property
    def serving(self) -> bool:
        """Whether the engine can be asked right now."""
        return self.phase == "ready" and self.running and self.server is not None and self.server.alive

    @property
    def failed_recently(self) -> bool:
        """Whether a new start would only fail the same way."""
        return self.phase == "failed" and 0 <= time.time() - self.since < FAILURE_KEPT_SECONDS  # clocks are set, too

    @property
    def orderly(self) -> bool:
        """Whether it ends, or ended, because nobody wanted it any more."""
        return self.error.startswith((ASKED, UNUSED, IDLE))

    def to_json(self) -> str:
        """One JSON object, the inverse of `from_json`."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        for name in ("watchdog", "server"):
            raw[name] = ProcessRef(*raw[name]) if raw[name] else None
        return cls(**raw)
