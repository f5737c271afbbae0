"""The answers that a task keeps for its later windows, so that a prompt is asked once a task, ledger or none."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from sparkllm.udf.window import Answer

__all__ = ["RememberedAnswers"]


class RememberedAnswers:
    """Answers by key, the earliest forgotten first.

    Args:
        most: so many.
        most_bytes: of their texts, taken together.
    """

    def __init__(self, most: int = 65_536, most_bytes: int = 64 << 20) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._bytes: dict[bytes, int] = {}  # of those that have come
        self._total = 0

    def get(self, key: bytes) -> Answer | None:
        """The answer, which may still be under way."""
        return self._answers.get(key)

    def put(self, key: bytes, answer: Answer) -> None:
        """Keep one that is to come."""
        self._answers[key] = answer
        self._weigh(key, 0)
        if len(self._answers) > self._most:
            self._forget()

    def came(self, keys: Iterable[bytes]) -> None:
        """These are no longer under way: from now on their texts count."""
        for key in keys:
            if key in self._answers:
                answer = self._answers[key]
                self._weigh(key, len(answer.value or "") + len(answer.detail))
        while self._total > self._most_bytes:
            self._forget()

    def _weigh(self, key: bytes, size: int) -> None:
        self._total += size - self._bytes.get(key, 0)
        self._bytes[key] = size

    def _forget(self) -> None:
        key, _ = self._answers.popitem(last=False)
        self._total -= self._bytes.pop(key)
