"""Settings reach logs, plans and event logs: what looks like a secret in one is refused, without being repeated."""

from __future__ import annotations

import re

from sparkllm.errors import ConfigError

__all__ = ["refuse_secrets"]

_CREDENTIALS = re.compile(r"://[^/]*:[^/]*@")
_SECRET_URL = re.compile(r"://[^/]*@|[?#]")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")  # keys have small letters or hyphens


def refuse_secrets(ledger_shared_path: str, base_url: str, api_key_env: str) -> None:
    """The values of the settings of these names.

    Raises:
        ConfigError: one holds a secret, or may.
    """
    if _CREDENTIALS.search(ledger_shared_path):
        raise ConfigError(
            "spark.sparkllm.ledgerSharedPath takes a URI without credentials, as settings reach logs; found some "
            "before its @. Give them to the executors as the store's own environment variables, such as "
            "spark.executorEnv.AWS_SECRET_ACCESS_KEY"
        )
    if _SECRET_URL.search(base_url):
        raise ConfigError(
            "spark.sparkllm.baseUrl takes an address without credentials, ? and #, as settings reach logs. Give "
            "the key to the executors' environment, see spark.sparkllm.apiKeyEnv"
        )
    if not _VARIABLE.fullmatch(api_key_env):
        raise ConfigError(
            "spark.sparkllm.apiKeyEnv takes the name of an environment variable, in capitals, such as "
            "OPENAI_API_KEY, and never the key itself, as settings reach logs; found something else"
        )
