"""The settings: names, types, and what a wrong one says."""

import pytest

from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError


def test_settings_survive_the_way_through_spark() -> None:
    config = LLMConfig(model="m", max_model_len=2048, fail_on_error=True, optimizer_dedup=False, temperature=0.5)
    assert LLMConfig.from_spark(config.to_spark()) == config


def test_keys_are_camel_case_below_spark_sparkllm() -> None:
    keys = LLMConfig(max_model_len=1, optimizer_push_filters=False).to_spark()
    assert keys == {"spark.sparkllm.maxModelLen": "1", "spark.sparkllm.optimizer.pushFilters": "false"}


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'spark\.sparkllm\.maxModelLen'"):
        LLMConfig.from_spark({"spark.sparkllm.maxModelLength": "1"})
    with pytest.raises(ConfigError, match="did you mean 'max_model_len'"):
        LLMConfig.from_options({"max_model_length": 1})


def test_a_value_of_the_wrong_type_says_what_the_setting_means() -> None:
    with pytest.raises(ConfigError, match=r"maxTokens takes a int, got 'many'; meaning: Most output tokens"):
        LLMConfig.from_spark({"spark.sparkllm.maxTokens": "many"})


def test_a_choice_that_is_none_names_the_choices() -> None:
    with pytest.raises(
        ConfigError,
        match=r"sparkllm\.order takes one of fixed, fields, auto, rows\+fields, rows, off, got 'row'; meaning:",
    ):
        LLMConfig.from_options({"order": "row"})


def test_a_shared_path_with_credentials_is_refused_without_repeating_them() -> None:
    with pytest.raises(ConfigError, match="without credentials") as caught:
        LLMConfig.from_spark({"spark.sparkllm.ledgerSharedPath": "s3://key:canary@bucket/answers"})
    assert "canary" not in str(caught.value)
    assert LLMConfig(ledger_shared_path="s3://bucket/answers@2").ledger_shared_path


@pytest.mark.parametrize("value", ["auto", "off", "ngram", "suffix", "draft:/models/small", "eagle:some/head"])
def test_speculation_takes_a_drafter(value: str) -> None:
    assert LLMConfig.from_spark({"spark.sparkllm.speculation": value}).speculation == value


def test_nothing_is_speculated_unless_asked_for() -> None:
    assert LLMConfig().speculation == "off"


@pytest.mark.parametrize("value", ["", "on", "draft", "draft:", "eagle:", "n-gram"])
def test_speculation_names_the_drafters_it_takes(value: str) -> None:
    with pytest.raises(ConfigError, match="takes one of auto, off, ngram, suffix, draft:<model>, eagle:<model>, got"):
        LLMConfig.from_spark({"spark.sparkllm.speculation": value})


def test_every_setting_has_a_meaning() -> None:
    assert all(f.metadata["doc"] for f in LLMConfig.__dataclass_fields__.values())


def test_other_spark_keys_are_ignored() -> None:
    assert LLMConfig.from_spark({"spark.app.name": "x"}) == LLMConfig()


@pytest.mark.parametrize("option", ["max_in_flight", "max_tokens", "window_rows", "max_window_rows"])
def test_a_number_that_would_stop_everything_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match="takes 1 or more, got 0; meaning:"):
        LLMConfig.from_options({option: 0})


def test_answers_are_kept_unless_that_is_switched_off() -> None:
    assert LLMConfig().ledger == "on"
    for value in ("off", "on", "/data/answers", "~/answers"):
        assert LLMConfig.from_spark({"spark.sparkllm.ledger": value}).ledger == value


@pytest.mark.parametrize("value", ["false", "relative/folder", "", "/"])
def test_a_ledger_that_is_no_absolute_folder_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"ledger takes one of on, off, /<folder>, ~<folder>, got"):
        LLMConfig.from_spark({"spark.sparkllm.ledger": value})
