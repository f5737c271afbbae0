"""The options that every function takes by name: model, order, selectivity, max_tokens, on_error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparkllm.calls import ON_ERROR, ORDERS, LLMCall
from sparkllm.errors import CallError
from sparkllm.task_constants import found, nearest, text_of

__all__ = ["CallOptions"]

_FIELDS = "Fields are given without names."
_NAMES = ("model", "order", "selectivity", "max_tokens", "on_error")


@dataclass(frozen=True)
class CallOptions:
    """Those of one call; None takes the session's.

    Attributes:
        model: path or id.
        order: one of `ORDERS`.
        selectivity: share of rows that a condition over the answer keeps, above 0 and at most 1.
        max_tokens: most output tokens of an answer.
        on_error: one of `ON_ERROR`.
    """

    model: str | None = None
    order: str | None = None
    selectivity: float | None = None
    max_tokens: int | None = None
    on_error: str | None = None

    @classmethod
    def of(cls, function: str, named: Mapping[str, Any], others: Sequence[str] = ()) -> CallOptions:
        """Check them; one that is None counts as left out.

        Args:
            function: for errors, as `others`, which are what it takes by name beside these.

        Raises:
            CallError: an unknown one, or a value that it cannot have.
        """
        for name in named:
            if name not in _NAMES:
                raise CallError(f"{function}() has no argument {name!r}{nearest(name, (*others, *_NAMES), _FIELDS)}")
        given = {name: value for name, value in named.items() if value is not None}
        if "model" in given:
            text_of(function, "model", given["model"])
        _one_of(function, "order", ORDERS, given)
        _one_of(function, "on_error", ON_ERROR, given)
        tokens, share = given.get("max_tokens", 1), given.get("selectivity", 1)
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
            raise CallError(f"{function}() expects max_tokens to be a constant INT of 1 or more, got {found(tokens)}")
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
            raise CallError(
                f"{function}() expects selectivity to be a constant number above 0 and at most 1, got {found(share)}"
            )
        return cls(**given)

    def into(self, call: LLMCall) -> LLMCall:
        """The call with these; a hint is no part of it."""
        return replace(
            call,
            model=self.model or call.model,
            order=self.order,
            max_tokens=self.max_tokens,
            on_error=self.on_error or call.on_error,
        )


def _one_of(function: str, name: str, known: tuple[str, ...], given: Mapping[str, Any]) -> None:
    if name in given and given[name] not in known:
        raise CallError(f"{function}() knows no {name} {found(given[name])}{nearest(str(given[name]), known)}")
