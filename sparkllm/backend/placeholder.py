"""What stands in an answer's place where no model was asked: of the right type, so that the query runs through."""

from __future__ import annotations

import functools
import json
from typing import Any

from sparkllm.backend.engine import Sampling

__all__ = ["placeholder"]

_DATE = "1970-01-01"


@functools.lru_cache(maxsize=64)
def placeholder(sampling: Sampling) -> str:
    """The first label; for a typed answer null or nothing in every column; else an empty text.

    >>> placeholder(Sampling(choices=("negative", "positive"))), placeholder(Sampling())
    ('negative', '')
    >>> columns = {"age": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "name": {"type": "string"}}
    >>> placeholder(Sampling(json_schema=json.dumps({"type": "object", "properties": columns})))
    '{"age": null, "name": ""}'
    """
    if sampling.choices:
        return sampling.choices[0]
    return json.dumps(_nothing(json.loads(sampling.json_schema))) if sampling.json_schema else ""


def _nothing(schema: dict[str, Any]) -> Any:
    """The least value of a schema that answer_schema.py wrote."""
    if "anyOf" in schema:
        return None
    if schema["type"] == "object":
        return {name: _nothing(inner) for name, inner in schema["properties"].items()}
    if schema["type"] == "string":
        return _DATE if schema.get("format") == "date" else ""
    return {"array": [], "boolean": False}.get(schema["type"], 0)
