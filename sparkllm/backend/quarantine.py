"""Requests that kill the engine: found by splitting those under way, kept out from then on.

Which requests were inside the engine when it died is read from a file (`in_flight`) by the server that follows. All are
asked again, as the death had another cause as a rule. Those that were there at two deaths are suspects: they are asked
in groups, a sixteenth of them at a time and nothing else beside. A group that lives is answered, and costs nothing but
a smaller batch; one whose engine dies is split again. A suspect that was alone when the engine died is quarantined.
So one such request among 4,096 costs five restarts: two deaths, then groups of 256, 16 and 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from array import array
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from sparkllm.backend.folder import write_private
from sparkllm.backend.in_flight import DIGEST_BYTES, InFlight, left_in

__all__ = ["Quarantine", "digest_of", "forget_in_flight"]

_SUSPECT_DEATHS = 2
_GROUPS = 16
_GATHER_SECONDS = 0.2  # suspects come in several messages; a group that begins with the first would be that one alone
_REMEMBERED = 10_000
_UNDER_WAY, _DEATHS = "in_flight", "deaths.json"


def digest_of(query: str, sampling: str, token_ids: Iterable[int]) -> bytes:
    """Names a request; another query's equal request has another name, so that to run a query again is a new try."""
    head = f"{query}\0{sampling}\0".encode()
    return blake2b(head + array("q", token_ids).tobytes(), digest_size=DIGEST_BYTES).digest()


def forget_in_flight(folder: Path) -> None:
    """The engine ends because nobody wants it any more: what is under way is not to blame."""
    (folder / _UNDER_WAY).unlink(missing_ok=True)


class _Waiting(NamedTuple):
    deaths: int
    admission: asyncio.Future[None]


class Quarantine:
    """Admits requests to the engine. Belongs to the engine's loop.

    Args:
        folder: of the engine; None remembers nothing of earlier servers.
        dead: whether the engine is gone: what is under way then stays on record.

    Attributes:
        died: the last engine died with requests under way.
        searching: it died with suspects alone, so that its death was the price of finding one.
    """

    def __init__(self, folder: Path | None = None, dead: Callable[[], bool] = lambda: False) -> None:
        self._dead = dead
        left = set(left_in(folder / _UNDER_WAY)) if folder is not None else set()
        self._deaths, self._quarantined = _read(folder)
        self.died = bool(left)
        self.searching = self.died and all(self._deaths[digest] >= _SUSPECT_DEATHS for digest in left)
        self._learn(left)
        if folder is not None and left:
            _write(folder, self._deaths, self._quarantined)
        self._in_flight = InFlight(folder / _UNDER_WAY if folder is not None else None)
        at_level = Counter(self._deaths.values())
        self._group_sizes = {deaths: -(-count // _GROUPS) for deaths, count in at_level.items()}
        self._suspects: list[_Waiting] = []
        self._others: deque[_Waiting] = deque()
        self._inside = Counter[bool]()  # by whether they are suspects
        self._folder, self._cleared = folder, False

    @property
    def quarantined(self) -> int:
        """How many requests are kept out."""
        return len(self._quarantined)

    @property
    def under_way(self) -> int:
        """How many requests are inside the engine."""
        return self._inside.total()

    def holds(self, digest: bytes) -> bool:
        """Whether this request killed the engine and is not to be asked."""
        return digest in self._quarantined

    @contextlib.asynccontextmanager
    async def admitted(self, digest: bytes) -> AsyncIterator[int]:
        """Inside, the request may be asked: at once as a rule; tells how many engines died while it was under way."""
        deaths = self._deaths[digest]
        suspect = deaths >= _SUSPECT_DEATHS
        await self._enter(deaths, suspect)
        place = self._in_flight.add(digest)
        try:
            yield deaths
            self._cleared |= self._deaths.pop(digest, 0) > 0  # it was answered
        finally:
            if not self._dead():
                self._in_flight.remove(place)
                self._leave(suspect)

    async def _enter(self, deaths: int, suspect: bool) -> None:
        if not suspect and not self._suspects and not self._inside[True]:
            self._inside[False] += 1
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(deaths, loop.create_future())
        (self._suspects if suspect else self._others).append(waiting)
        if suspect and not self.under_way:
            loop.call_later(_GATHER_SECONDS, self._admit)
        try:
            await waiting.admission
        except asyncio.CancelledError:
            if not waiting.admission.cancelled():  # admitted and cancelled in one step of the loop
                self._leave(suspect)
            else:
                self._admit()
            raise

    def _leave(self, suspect: bool) -> None:
        self._inside[suspect] -= 1
        if not self.under_way:
            if self._cleared and self._folder is not None:
                _write(self._folder, self._deaths, self._quarantined)
            self._cleared = False
            self._admit()

    def _admit(self) -> None:
        """Let the next group in, once the engine is empty; the others, once there are no more suspects."""
        self._suspects = [one for one in self._suspects if not one.admission.done()]
        if self._suspects and not self.under_way:
            most = max(one.deaths for one in self._suspects)
            worst = [one for one in self._suspects if one.deaths == most]
            self._let_in(worst[: self._group_sizes.get(most, 1)], suspects=True)
        elif not self._suspects and not self._inside[True]:
            self._let_in(self._others, suspects=False)
            self._others.clear()

    def _let_in(self, group: Iterable[_Waiting], suspects: bool) -> None:
        for one in group:
            if not one.admission.done():
                one.admission.set_result(None)
                self._inside[suspects] += 1

    def _learn(self, left: set[bytes]) -> None:
        """What the death of an engine with these requests under way tells of them."""
        for digest in left:
            self._deaths[digest] += 1
        alone = next(iter(left)) if len(left) == 1 else None
        if alone is not None and self._deaths[alone] >= _SUSPECT_DEATHS:
            del self._deaths[alone]
            self._quarantined[alone] = None


def _read(folder: Path | None) -> tuple[Counter[bytes], dict[bytes, None]]:
    try:
        raw = json.loads((folder / _DEATHS).read_bytes()) if folder is not None else {}
    except (OSError, ValueError):
        raw = {}
    deaths = Counter({bytes.fromhex(name): int(count) for name, count in raw.get("deaths", {}).items()})
    return deaths, dict.fromkeys(map(bytes.fromhex, raw.get("quarantined", ())))


def _write(folder: Path, deaths: Counter[bytes], quarantined: dict[bytes, None]) -> None:
    named = {digest.hex(): count for digest, count in list(deaths.items())[-10 * _REMEMBERED :]}
    kept = [digest.hex() for digest in quarantined][-_REMEMBERED:]
    with contextlib.suppress(OSError):  # a full disk
        write_private(folder / _DEATHS, json.dumps({"deaths": named, "quarantined": kept}))
