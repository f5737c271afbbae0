"""Settings that are JSON objects: passed on to whoever knows them, without a secret in them."""

from __future__ import annotations

import json
from typing import Any

from sparkllm.errors import ConfigError

__all__ = ["json_setting"]


def json_setting(key: str, text: str, what: str) -> dict[str, Any]:
    """The object that `text` is.

    Args:
        key: of Spark, for errors.
        text: what the user set.
        what: is expected, with an example.

    Raises:
        ConfigError: it is no JSON object.
    """
    try:
        found: Any = json.loads(text or "{}")
    except ValueError as error:
        found = error
    if not isinstance(found, dict):
        said = found if isinstance(found, ValueError) else f"a {type(found).__name__}"  # the text may be secret
        raise ConfigError(f"{key} takes a JSON object of {what}; found {said}")
    return found
