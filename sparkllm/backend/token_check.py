"""Who may call a Flight service: whoever has its token."""

from __future__ import annotations

import hmac

from pyarrow import flight

from sparkllm.backend.wire import AUTHORIZATION

__all__ = ["TokenCheck"]


class TokenCheck(flight.ServerMiddlewareFactory):
    """Refuses every call without the service's token."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._expected = f"Bearer {token}".encode()

    def start_call(self, info: flight.CallInfo, headers: dict[str, list[str]]) -> None:
        given = [value for name, values in headers.items() if name.lower() == AUTHORIZATION for value in values]
        if len(given) != 1 or not hmac.compare_digest(str(given[0]).encode(), self._expected):
            raise flight.FlightUnauthenticatedError("the service's token was expected; only its own user can read it")
