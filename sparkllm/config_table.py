"""docs/configuration.md from the settings themselves: `python -m sparkllm.config_table > docs/configuration.md`."""

from __future__ import annotations

from dataclasses import fields

from sparkllm.config import LLMConfig

__all__ = ["configuration_page"]

# Where a group of settings begins, by the first one's key.
_GROUPS = {
    "model": "Model and answers",
    "engine": "Engine",
    "baseUrl": "Endpoints",
    "maxInFlight": "The engine's life",
    "ledger": "Ledger",
    "maxCalls": "Budget",
    "progress": "Progress, windows and order",
    "placement": "Placement",
    "optimizer.reuse": "Optimizer rules",
}
_HEAD = """\
# Configuration

Made from `sparkllm/config.py` by `python -m sparkllm.config_table`; `help(sparkllm.LLMConfig)` shows the same.

Every setting is a key `spark.sparkllm.<name>`: in the cluster's Spark config, with `spark.conf.set` before a query, or
in Python by its name with underscores.

```python
spark = sparkllm.session(model="demo", max_tokens=64)
spark.conf.set("spark.sparkllm.maxTokens", "32")
```

An unknown key is an error that names the nearest known one. Settings reach logs, so none takes a secret.
"""


def configuration_page() -> str:
    """The page, as it is committed: a table for each group of settings, in the order of config.py."""
    lines = [_HEAD]
    for key, name in LLMConfig.spark_keys().items():
        short = key.removeprefix("spark.sparkllm.")
        if short in _GROUPS:
            lines.append(f"\n## {_GROUPS[short]}\n\n| `spark.sparkllm.` | default | meaning |\n| --- | --- | --- |\n")
        lines.append(f"| `{short}` | {_default(name)} | {_meaning(name)} |\n")
    return "".join(lines)


def _default(name: str) -> str:
    value = LLMConfig.__dataclass_fields__[name].default
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`" if text else ""


def _meaning(name: str) -> str:
    data = next(f for f in fields(LLMConfig) if f.name == name).metadata
    choices = f" One of {', '.join(f'`{choice}`' for choice in data['choices'])}." if data["choices"] else ""
    return (str(data["doc"]) + choices).replace("|", "\\|")


if __name__ == "__main__":
    print(configuration_page(), end="")
