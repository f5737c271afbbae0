"""A server on a real socket that does to each request what a test has told it, and writes down what it was sent."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Misbehaving", "by_review", "completion", "cut", "misbehaving", "refused", "slow"]

# (the body of a request) -> (status, headers, what is sent: a JSON value, or bytes as they are)
Turn = Callable[[dict[str, Any]], tuple[int, dict[str, str], Any]]


def completion(text: str, finish: str = "stop", **message: Any) -> Turn:
    """A chat completion with usage as OpenAI counts it."""
    usage = {"prompt_tokens": 40, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 32}}
    choice = {"message": {"role": "assistant", "content": text} | message, "finish_reason": finish}
    return lambda body: (200, {}, {"choices": [choice], "usage": usage})


def refused(status: int, message: str, **headers: str) -> Turn:
    """An error as OpenAI words it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda body: (status, named, {"error": {"message": message, "type": "invalid_request_error", "code": None}})


def cut(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    """Promises more than it sends."""
    return 200, {"Content-Length": "1000"}, b'{"choices": ['


def slow(seconds: float) -> Turn:
    """Answers later than anybody waits for."""

    def turn(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        time.sleep(seconds)
        return completion("late")(body)

    return turn


class Misbehaving(ThreadingHTTPServer):
    """Takes one turn for each request, and the last one for ever.

    Attributes:
        bodies: of the requests to /chat/completions, as they came.
        headers: theirs.
        models: what /models says.
        most: requests that were under way at a time.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.turns: list[Turn] = [completion("fine")]
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.models: tuple[int, Any] = (404, {"detail": "Not Found"})
        self.most = self.now = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are what these tests are about."""

    @contextlib.contextmanager
    def counted(self, body: dict[str, Any], headers: dict[str, str]) -> Iterator[Turn]:
        with self.lock:
            turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
            self.bodies.append(body)
            self.headers.append(headers)
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            yield turn
        finally:
            with self.lock:
                self.now -= 1


class _Handler(BaseHTTPRequestHandler):
    server: Misbehaving
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, value = self.server.models if self.path == "/v1/models" else (404, {})
        self._send(status, {}, value)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self._send(404, {}, {"detail": "Not Found"})
            return
        with self.server.counted(body, dict(self.headers)) as turn:
            self._send(*turn(body))

    def _send(self, status: int, headers: dict[str, str], value: Any) -> None:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in ({"Content-Length": str(len(raw)), "Content-Type": "application/json"} | headers).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(raw)
        self.close_connection = int(headers.get("Content-Length", len(raw))) != len(raw)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def by_review(labels: dict[str, str]) -> Turn:
    """Answers with the label of the word that the user's message holds, in the form that was asked for."""

    def turn(body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        text = body["messages"][-1]["content"]
        label = next(label for word, label in labels.items() if re.search(word, text))
        return completion(json.dumps({"answer": label}) if "response_format" in body else label)(body)

    return turn


@contextlib.contextmanager
def misbehaving() -> Iterator[Misbehaving]:
    server = Misbehaving()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
