"""A line for the user that comes from an executor: the driver's service prints it."""

from __future__ import annotations

import sys
import threading
import time

import pyarrow as pa
from pyarrow import flight

from sparkllm.backend.control.budget import ControlAddress
from sparkllm.backend.wire import AUTHORIZATION

__all__ = ["NOTICE", "Notices", "tell_driver"]

NOTICE = "notice"  # the name of the Flight action
_CALL_SECONDS = 3.0
_APART_SECONDS = 4.0
_MOST_CHARACTERS = 300


def tell_driver(address: ControlAddress, text: str) -> bool:
    """Have the driver print a line; whether it took it."""
    try:
        # The driver is inside the cluster: a proxy to the world outside does not know it.
        with flight.FlightClient(address.location, generic_options=[("grpc.enable_http_proxy", 0)]) as client:
            headers = [(AUTHORIZATION.encode(), f"Bearer {address.token}".encode())]
            options = flight.FlightCallOptions(timeout=_CALL_SECONDS, headers=headers)
            list(client.do_action(flight.Action(NOTICE, text.encode()), options))
    except (flight.FlightError, pa.ArrowException, OSError):
        return False
    return True


class Notices:
    """The driver's end. Hundreds of executors may start an engine at the same time: few lines stand for all of them."""

    def __init__(self) -> None:
        self._last = -_APART_SECONDS
        self._lock = threading.Lock()

    def show(self, text: str) -> None:
        """Print a line, unless another was printed a moment ago."""
        with self._lock:
            if time.monotonic() - self._last < _APART_SECONDS:
                return
            self._last = time.monotonic()
        plain = "".join(character if character.isprintable() else " " for character in text[:_MOST_CHARACTERS])
        print(f"sparkllm: {plain}", file=sys.stderr, flush=True)
