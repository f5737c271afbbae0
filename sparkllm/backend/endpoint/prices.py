"""What the tokens of an endpoint's models cost: a few list prices, and the user's own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sparkllm.backend.endpoint.settings import endpoint_model
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError

__all__ = ["Prices", "TokenPrice", "price_of"]

Prices = Mapping[str, Mapping[str, Any]] | str | Path
_MILLION = 1e6
_NUMBERS = {"input", "cached_input", "output"}
_NEEDED = {"input", "output"}
_TEXTS = {"base_url", "source", "date"}
_EXAMPLE = '{"gpt-4.1-mini": {"input": 0.4, "cached_input": 0.1, "output": 1.6}}'


@dataclass(frozen=True)
class TokenPrice:
    """US dollars for a million tokens.

    Attributes:
        input, output: of prompts and of answers.
        cached_input: of prompt tokens that the server has in its cache; None: as others.
        source: who says so; empty for the user's own.
        date: when.
        base_url: the only address that they hold at; empty: any.
    """

    input: float
    output: float
    cached_input: float | None = None
    source: str = ""
    date: str = ""
    base_url: str = ""

    def usd(self, prompt_tokens: float, cached_tokens: float, output_tokens: float) -> float:
        """Of these tokens; the cached ones are among those of the prompts.

        >>> TokenPrice(0.4, 1.6, 0.1).usd(2_000_000, 1_000_000, 1_000_000)
        2.1
        """
        cached = self.input if self.cached_input is None else self.cached_input
        whole = (prompt_tokens - cached_tokens) * self.input + cached_tokens * cached + output_tokens * self.output
        return whole / _MILLION

    def __str__(self) -> str:
        cached = "" if self.cached_input is None else f"{self.cached_input:,.10g} cached, "
        said = f"; {self.source}, {self.date}" if self.source else "; your own price"
        return f"$ {self.input:,.10g} input, {cached}{self.output:,.10g} output per million tokens{said}"


def price_of(model: str, config: LLMConfig, own: Prices | None = None) -> TokenPrice | None:
    """The price of `openai:NAME`, at the address that is set; None where nobody has said.

    `own` comes before the setting `endpoint_prices`, and that before the list.

    Raises:
        ConfigError: a price that cannot be read, with what is expected and found.
    """
    name, url = endpoint_model(model), config.base_url.strip().rstrip("/")
    for where, given in (("prices", own), ("spark.sparkllm.endpointPrices", config.endpoint_prices or None)):
        if given is not None and name in (found := _read(where, given)):
            return found[name]
    text = resources.files(__package__).joinpath("prices.toml").read_text(encoding="utf-8")
    listed = _parsed("prices.toml", tomllib.loads(text)).get(name)
    return listed if listed is not None and listed.base_url == url else None


def _read(where: str, given: Prices) -> dict[str, TokenPrice]:
    if isinstance(given, Mapping):
        return _parsed(where, given)
    text = str(given).strip()
    try:
        if text.startswith("{"):
            return _parsed(where, json.loads(text))
        return _parsed(text, tomllib.loads(Path(text).expanduser().read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where} takes a TOML file or an object such as {_EXAMPLE}; found {error}") from error


def _parsed(where: str, given: Mapping[str, Any]) -> dict[str, TokenPrice]:
    return {str(name): _price(where, str(name), entry) for name, entry in given.items()}


def _price(where: str, name: str, entry: Any) -> TokenPrice:
    known = _NUMBERS | _TEXTS
    wrong = not isinstance(entry, Mapping) or not set(entry) >= _NEEDED or set(entry) - known
    if wrong or not all(_number(entry[key]) for key in _NUMBERS & set(entry)):
        raise ConfigError(
            f"{where}, {name}: expected dollars for a million tokens, such as {_EXAMPLE}, with any of "
            f"{', '.join(sorted(known))}; found {entry!r}"
        )
    texts = {key: str(entry[key]) for key in sorted(_TEXTS & set(entry))}
    cached = entry.get("cached_input")
    return TokenPrice(float(entry["input"]), float(entry["output"]), None if cached is None else float(cached), **texts)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
