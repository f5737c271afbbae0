"""Which endpoint, and how it is asked: part of an engine's spec, so nothing in here is secret."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sparkllm.backend.json_setting import json_setting
from sparkllm.backend.model_path import DEMO, resolve
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError, EndpointError

__all__ = ["OPENAI", "EndpointSettings", "endpoint_model", "is_endpoint"]

OPENAI = "openai"
_PREFIX = f"{OPENAI}:"
_EMBEDDED = "vllm"  # of the setting `engine`: what answers where a model is no endpoint's
_PATH = "/chat/completions"  # often copied along with what stands before it
_KEY = re.compile(r"[\x21-\x7e]+")
_OURS = frozenset({"messages", "model", "n", "stream"})
_SECRET = frozenset({"api_key", "authorization", "headers", "extra_headers"})


def is_endpoint(model: str) -> bool:
    """Whether a server is to answer for this model.

    >>> is_endpoint("openai:gpt-4.1-mini"), is_endpoint("openai/gpt-oss-20b")
    (True, False)
    """
    return model.startswith(_PREFIX)


def endpoint_model(model: str) -> str:
    """Its name at the server: `gpt-4.1-mini` of `openai:gpt-4.1-mini`."""
    return model.removeprefix(_PREFIX).strip()


@dataclass(frozen=True)
class EndpointSettings:
    """What an engine needs to ask one model of one server.

    Attributes:
        model: as the server calls it.
        base_url: what stands before `/chat/completions`.
        api_key_env: environment variable of the engine's process that holds the key.
        api_key_file: file that holds it instead; empty for none.
        concurrency: most requests under way at a time.
        timeout_seconds: longest answer.
        retry_seconds: a server that answers nothing for so long is given up.
        tokenizer: resolved folder or hub id of the tokenizer that counts.
        options: JSON object of more fields of each request.
    """

    model: str
    base_url: str
    api_key_env: str
    api_key_file: str
    concurrency: int
    timeout_seconds: float
    retry_seconds: float
    tokenizer: str
    options: str

    @classmethod
    def of(cls, config: LLMConfig, model: str) -> Self:
        """What `config` says for `openai:NAME`.

        Raises:
            ConfigError: no name, no address, a dry run, or options that cannot be sent.
            EngineStartError: the tokenizer's folder is not there.
        """
        name = endpoint_model(model)
        url = config.base_url.strip().rstrip("/").removesuffix(_PATH)
        if config.engine != _EMBEDDED:
            raise ConfigError(
                f"spark.sparkllm.engine={config.engine} takes a model whose files are here, found {model!r}: "
                f"sparkllm.explain(query) says what a query would send, and asks nobody"
            )
        if not name:
            raise ConfigError("a model's name was expected after openai:, such as openai:gpt-4.1-mini; found none")
        if not url.startswith(("http://", "https://")):
            raise ConfigError(
                f"spark.sparkllm.baseUrl takes an address such as https://api.openai.com/v1, got {config.base_url!r}"
            )
        return cls(
            model=name,
            base_url=url,
            api_key_env=config.api_key_env,
            api_key_file=config.api_key_file,
            concurrency=config.endpoint_concurrency,
            timeout_seconds=config.endpoint_timeout_seconds,
            retry_seconds=config.endpoint_retry_seconds,
            tokenizer=resolve(config.endpoint_vocabulary or DEMO, "spark.sparkllm.endpointVocabulary"),
            options=json.dumps(_options(config.endpoint_options), sort_keys=True),
        )

    def to_json(self) -> str:
        """One JSON object, the inverse of `from_json`."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    @property
    def where_the_key_is(self) -> str:
        """For errors."""
        if self.api_key_file:
            return f"in the file {self.api_key_file} of each executor host (spark.sparkllm.apiKeyFile)"
        return (
            f"in the executors' environment as {self.api_key_env} (spark.executorEnv.{self.api_key_env}; on Databricks "
            f"{self.api_key_env}={{{{secrets/<scope>/<key>}}}} among the cluster's variables)"
        )

    def key(self, environment: Mapping[str, str]) -> str:
        """The key now; "" where there is none, as many servers of one's own take none.

        Raises:
            EndpointError: the file cannot be read, or what was found cannot be a key.
        """
        try:
            found = Path(self.api_key_file).expanduser().read_text(encoding="utf-8") if self.api_key_file else ""
        except (OSError, UnicodeDecodeError) as error:
            raise EndpointError(f"an API key was expected {self.where_the_key_is}, found {error}") from None
        key = (found or environment.get(self.api_key_env, "")).strip()
        if key and not _KEY.fullmatch(key):
            raise EndpointError(
                f"an API key was expected {self.where_the_key_is}, found a text with spaces, line breaks or letters "
                f"that no header takes: correct it"
            )
        return key


def _options(text: str) -> dict[str, Any]:
    what = 'fields of a chat completion, such as {"reasoning_effort": "minimal"}'
    options = json_setting("spark.sparkllm.endpointOptions", text, what)
    names = {name.lower().replace("-", "_") for name in options}
    if names & _SECRET:
        raise ConfigError(
            f"spark.sparkllm.endpointOptions takes no secrets, as settings reach logs; found "
            f"{', '.join(sorted(names & _SECRET))}. Set the key in the environment of the executors, see "
            f"spark.sparkllm.apiKeyEnv"
        )
    if names & _OURS:
        raise ConfigError(
            f"spark.sparkllm.endpointOptions takes what sparkllm does not set itself; found "
            f"{', '.join(sorted(names & _OURS))}: leave it out"
        )
    return options
