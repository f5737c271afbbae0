"""Prices of endpoint models: the list holds at one address, the user's own comes first."""

from __future__ import annotations

import tomllib
from datetime import date
from importlib import resources
from pathlib import Path

import pytest

from sparkllm.backend.endpoint.prices import TokenPrice, price_of
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError

MINI = "openai:gpt-4.1-mini"
OWN = '{"gpt-4.1-mini": {"input": 1, "output": 3}}'


def test_every_price_of_the_list_has_an_address_a_source_and_a_date() -> None:
    text = resources.files("sparkllm.backend.endpoint").joinpath("prices.toml").read_text(encoding="utf-8")
    for name in tomllib.loads(text):
        found = price_of(f"openai:{name}", LLMConfig())
        assert found is not None
        assert found.source.startswith("https://")
        assert date.fromisoformat(found.date)
        assert found.base_url == LLMConfig().base_url
        assert 0 < found.input < found.output


def test_the_list_does_not_speak_of_other_addresses_and_models() -> None:
    assert price_of(MINI, LLMConfig(base_url="http://gateway:8000/v1")) is None
    assert price_of("openai:my-own", LLMConfig()) is None
    assert price_of(MINI, LLMConfig(base_url="https://api.openai.com/v1/")) is not None


def test_your_own_price_comes_first_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('["gpt-4.1-mini"]\ninput = 2\ncached_input = 0.5\noutput = 8\n')
    by_setting = LLMConfig(endpoint_prices=OWN, base_url="http://gateway:8000/v1")
    assert price_of(MINI, by_setting) == TokenPrice(1.0, 3.0)
    for own in (file, str(file), {"gpt-4.1-mini": {"input": 2, "cached_input": 0.5, "output": 8}}):
        assert price_of(MINI, by_setting, own) == TokenPrice(2.0, 8.0, 0.5)
    assert price_of(MINI, by_setting, {"another": {"input": 2, "output": 8}}) == TokenPrice(1.0, 3.0)
    assert price_of(MINI, LLMConfig(endpoint_prices=str(file))) == TokenPrice(2.0, 8.0, 0.5)


def test_cached_tokens_without_a_price_of_their_own_cost_what_others_do() -> None:
    assert TokenPrice(1.0, 3.0).usd(1e6, 5e5, 1e6) == 4.0
    assert TokenPrice(1.0, 3.0, 0.5).usd(1e6, 5e5, 1e6) == 3.75


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ({"m": {"input": 1}}, r"prices, m: expected dollars for a million tokens.*found \{'input': 1\}"),
        ({"m": {"input": -1, "output": 3}}, "found .*-1"),
        ({"m": {"input": "cheap", "output": 3}}, "found .*cheap"),
        ({"m": {"input": 1, "output": 3, "per_hour": 2}}, "with any of .*cached_input.*found .*per_hour"),
        ({"m": 3}, "found 3"),
        ("{broken", r"prices takes a TOML file or an object such as"),
        ("/nowhere/prices.toml", "No such file"),
    ],
)
def test_a_price_that_cannot_be_read_says_what_is_expected(own: object, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        price_of("openai:m", LLMConfig(), own)  # type: ignore[arg-type]
