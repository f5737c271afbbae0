"""LLMConfig: every `spark.sparkllm.*` key, its default and its meaning, in one place.

Read once per task (from Spark's local properties) and once per session, then passed on.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sparkllm.calls import ORDERS
from sparkllm.errors import ConfigError
from sparkllm.secret_settings import refuse_secrets

__all__ = ["PREFIX", "LLMConfig"]

PREFIX = "spark.sparkllm."
_OPTIMIZER = "optimizer_"


def _setting(default: Any, doc: str, least: float | None = None, choices: Sequence[str] = ()) -> Any:
    """A choice such as `draft:<model>` takes anything in place of what the brackets hold."""
    return field(default=default, metadata={"doc": doc, "least": least, "choices": choices})


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _key(name: str) -> str:
    """`max_model_len` -> `spark.sparkllm.maxModelLen`; `optimizer_dedup` -> `spark.sparkllm.optimizer.dedup`."""
    if name.startswith(_OPTIMIZER):
        return f"{PREFIX}optimizer.{_camel(name.removeprefix(_OPTIMIZER))}"
    return PREFIX + _camel(name)


@dataclass(frozen=True)
class LLMConfig:
    """Every setting of sparkllm. Field `max_model_len` is the Spark key `spark.sparkllm.maxModelLen`."""

    model: str = _setting(
        "demo",
        "Path or Hugging Face id of the model, `demo`, the small one that is shipped, or `openai:NAME`, at `baseUrl`.",
    )
    chat_template: str = _setting(
        "",
        "Chat template (path or Jinja text) in place of the model's own; `none`: plain text, for a base model.",
    )
    system_prompt: str = _setting("", "System prompt of every call; where a model takes none, the user's first words.")
    thinking: str = _setting(
        "auto",
        "Of a reasoning model: `off`, it answers at once; `on`, it thinks first, and `maxTokens` bounds thought and "
        "answer; `auto`: off where the answer is held to labels or a type or where the model's template has a switch. "
        "Thoughts are cut from the value.",
        choices=("auto", "off", "on"),
    )
    trust_remote_code: bool = _setting(
        False, "Run the Python code that comes with a model's files, as the user of the executors; read it first."
    )
    max_tokens: int = _setting(128, "Most output tokens of a free-text answer.", least=1)
    temperature: float = _setting(0.0, "Sampling temperature; 0 is greedy.", least=0)
    fail_on_error: bool = _setting(False, "true: a row without an answer fails the job; false: it is NULL, counted.")

    engine: str = _setting(
        "vllm",
        "What answers: `vllm`; or `dry-run`, which counts tokens and prefix hits without weights and answers nothing.",
        choices=("vllm", "dry-run"),
    )
    dry_run_tokens_per_second: float = _setting(
        0.0, "Prompt tokens a dry run computes in a second, those from its cache not counted; 0: at once.", least=0
    )
    max_model_len: int = _setting(0, "Longest prompt plus answer, in tokens; 0 takes the model's own limit.", least=0)
    dtype: str = _setting(
        "auto",
        "Weights' type, as in vLLM: auto, bfloat16, float16, float32; `auto` is float32 on a CPU without bfloat16.",
    )
    block_size: int = _setting(
        0, "KV-cache block, in tokens; 0 takes 32 on a CPU and vLLM's default on a GPU.", least=0
    )
    kv_cache_gib: float = _setting(
        0.0, "KV cache, in GiB; 0 takes 1 on a CPU and what vLLM finds free on a GPU (a dry run: 16).", least=0
    )
    gpu_memory_utilization: float = _setting(0.9, "Share of GPU memory for vLLM.", least=0)
    max_num_seqs: int = _setting(0, "Most sequences in one engine step; 0 takes vLLM's default.", least=0)
    speculation: str = _setting(
        "off",
        "Speculative decoding with draft lengths chosen step by step: drafts from n-grams of the text so far, a suffix "
        "tree, a draft model or an EAGLE head; `auto`: n-grams on a CPU, off on a GPU.",
        choices=("auto", "off", "ngram", "suffix", "draft:<model>", "eagle:<model>"),
    )
    engine_options: str = _setting("{}", "More vLLM engine arguments, as a JSON object.")

    base_url: str = _setting(
        "https://api.openai.com/v1", "For `openai:NAME`: what stands before /chat/completions; no key belongs in it."
    )
    api_key_env: str = _setting(
        "OPENAI_API_KEY",
        "Name of the environment variable of the executors that holds the endpoint's key; not the key.",
    )
    api_key_file: str = _setting("", "Path of a file on the executors that holds the endpoint's key instead.")
    endpoint_concurrency: int = _setting(
        32, "Most requests to an endpoint at a time, of all tasks of an executor host.", least=1
    )
    endpoint_timeout_seconds: float = _setting(120.0, "Longest answer of an endpoint; then it is asked again.", least=0)
    endpoint_retry_seconds: float = _setting(
        300.0,
        "An endpoint that answers nothing at all for so long fails the query; until then it is asked again.",
        least=0,
    )
    endpoint_vocabulary: str = _setting(
        "",
        "Folder or Hugging Face id of an endpoint's tokenizer, to count with; empty: the demo model's.",
    )
    endpoint_options: str = _setting(
        "{}", 'More fields of each request to an endpoint, as a JSON object: {"reasoning_effort": "minimal"}.'
    )

    endpoint_prices: str = _setting(
        "",
        "Dollars for a million tokens, by model of an endpoint: a TOML file on the driver, or a JSON object such as "
        '{"NAME": {"input": 0.4, "cached_input": 0.1, "output": 1.6}}.',
    )

    max_in_flight: int = _setting(1024, "Most requests of one stream inside the engine at a time.", least=1)
    start_timeout_seconds: float = _setting(900.0, "Longest start of an engine before it counts as failed.", least=0)
    start_notice_seconds: float = _setting(
        5.0, "An engine that takes longer to start is announced where the driver runs, now and then; 0: never.", least=0
    )
    idle_seconds: float = _setting(
        600.0, "An engine without requests for this long ends; the next query restarts it.", least=0
    )
    hang_seconds: float = _setting(
        300.0,
        "An engine with requests that makes no step for this long is started again; 0: never.",
        least=0,
    )
    engine_restarts: int = _setting(
        3, "Deaths of its engine that a Spark task bears; what was not answered is asked again.", least=0
    )
    runtime_dir: str = _setting("", "Folder of sockets and logs; empty takes sparkllm-<uid> in the temporary folder.")

    ledger: str = _setting(
        "on",
        "Keep answers on the executor's host and ask no model for them again: `on`, in the user's cache folder, `off`, "
        "or an absolute folder on a local disk.",
        choices=("on", "off", "/<folder>", "~<folder>"),
    )
    ledger_shared_path: str = _setting(
        "", "Folder or URI where answers are also written as Parquet, and read from other clusters; empty for none."
    )
    ledger_max_bytes: int = _setting(4 * 2**30, "Answers kept on a host, in bytes; the oldest go first.", least=1)
    ledger_days: float = _setting(30.0, "Days after which an answer is asked for again; 0: never.", least=0)

    max_calls: int = _setting(0, "Most requests that a query may send to engines; 0: any number.", least=0)
    max_total_tokens: int = _setting(
        0, "Most tokens that engines may compute for a query: prompts', but for those cached, and answers'.", least=0
    )
    max_seconds: float = _setting(0.0, "Longest time since a query's first prompt came to an engine.", least=0)
    max_cost: float = _setting(0.0, "Most that a query's time on engines may cost, by `cost_per_hour`.", least=0)
    cost_per_hour: float = _setting(0.0, "Price of an hour of one engine, with all its GPUs; any currency.", least=0)
    on_budget: str = _setting(
        "null",
        "When one of these four limits is reached: `null`, the rows left are NULL, or `fail`, so does the query.",
        choices=("null", "fail"),
    )
    control_port: int = _setting(0, "Port of the driver's service that engines report to; 0: a free one.", least=0)

    progress: str = _setting(
        "auto",
        "A bar while a query asks: `auto`, on the driver's terminal or in its notebook; `on`, elsewhere a line now and "
        "then; `off`.",
        choices=("auto", "on", "off"),
    )

    window_rows: int = _setting(256, "Rows of the first window; each next one is four times as large.", least=1)
    max_window_rows: int = _setting(16384, "Rows of the largest window.", least=1)

    order: str = _setting(
        "fixed",
        "Prompts: `fixed` or `fields`, one order of the fields for all rows; `rows+fields`, one for each row; `auto`, "
        "that where it shares 3 % more of the data; `rows`, fields as the query has them; `off`, rows too.",
        choices=ORDERS,
    )
    tasks: int = _setting(0, "Spark tasks that the rows of a call are cut into; 0 takes two for each core.", least=0)

    placement: str = _setting("", "Rows by GPU type, as JSON; `plan.on(spark)` of sparkllm.backend.placement sets it.")

    pool_wait_seconds: float = _setting(
        60.0, "Under a placement: time without a running task until a warning names the GPU type that waits.", least=0
    )

    optimizer_reuse: bool = _setting(True, "Evaluate the same call in one query once.")
    optimizer_push_filters: bool = _setting(True, "Run filters that need no answer before the LLM.")
    optimizer_order_cascade: bool = _setting(True, "Order LLM calls by their cost and by the rows that filters drop.")
    optimizer_learn_selectivity: bool = _setting(True, "For that order, use what filters kept in earlier queries.")
    optimizer_pilot_run: bool = _setting(True, "Where none tells, ask a few rows first to find that order.")
    optimizer_pull_above_join: bool = _setting(True, "Call above joins that may drop rows and never multiply them.")
    optimizer_reduce_by_join: bool = _setting(True, "Below other joins, call only for the rows that the join keeps.")
    optimizer_pull_above_window: bool = _setting(True, "Call above a window that a filter such as rn = 1 reads.")
    optimizer_push_limits: bool = _setting(True, "Run LIMIT and top-k that need no answer before the LLM.")
    optimizer_stop_at_limit: bool = _setting(True, "Under a LIMIT, ask for few rows first and for more when wanted.")
    optimizer_share_below_sort: bool = _setting(True, "Keep answers below a global sort, which reads its rows twice.")
    optimizer_prune_unused: bool = _setting(True, "Drop calls whose answer nobody reads.")
    optimizer_share_calls: bool = _setting(True, "Evaluate the same call over the same rows in two subqueries once.")
    optimizer_co_locate: bool = _setting(True, "Bring rows that share a prefix into one task; ask equal prompts once.")
    optimizer_data_first: bool = _setting(
        True, "Several calls on the same fields: data before instruction where that saves 20 % of the prompt tokens."
    )
    optimizer_dedup: bool = _setting(True, "Ask for equal prompts once.")
    optimizer_order_fields: bool = _setting(True, "Choose the field order that shares most prefix tokens.")
    optimizer_order_rows: bool = _setting(True, "Send prompts that share a prefix one after the other.")
    optimizer_tokenize_cells: bool = _setting(True, "Tokenize each distinct cell once, where tokens stay the same.")

    def __post_init__(self) -> None:
        for f in fields(self):
            value, least, choices = getattr(self, f.name), f.metadata["least"], f.metadata["choices"]
            taken = f"one of {', '.join(choices)}" if choices and not _is_choice(value, choices) else ""
            taken = f"{least} or more" if least is not None and not value >= least else taken
            if taken:
                raise ConfigError(f"{_key(f.name)} takes {taken}, got {value!r}; meaning: {f.metadata['doc']}")
        refuse_secrets(self.ledger_shared_path, self.base_url, self.api_key_env)

    @classmethod
    def spark_keys(cls) -> dict[str, str]:
        """Spark key -> field name, for every setting."""
        return {_key(f.name): f.name for f in fields(cls)}

    @classmethod
    def from_spark(cls, conf: Mapping[str, str]) -> LLMConfig:
        """Read the `spark.sparkllm.*` entries of `conf`; other keys are ignored.

        Raises:
            ConfigError: an unknown `spark.sparkllm.*` key, or a value of the wrong type.
        """
        known = cls.spark_keys()
        values: dict[str, Any] = {}
        for key, text in conf.items():
            if not key.startswith(PREFIX):
                continue
            if key not in known:
                raise ConfigError(f"unknown setting {key!r}{_nearest(key, known)}")
            values[known[key]] = _parse(cls, known[key], text)
        return cls(**values)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> LLMConfig:
        """Read Python keyword options such as `max_model_len=2048`.

        Raises:
            ConfigError: an unknown option, or a value of the wrong type.
        """
        names = {f.name for f in fields(cls)}
        for name in options:
            if name not in names:
                raise ConfigError(f"unknown option {name!r}{_nearest(name, names)}")
        return cls(**{name: _parse(cls, name, value) for name, value in options.items()})

    def to_spark(self) -> dict[str, str]:
        """Every setting that differs from its default, as Spark conf entries."""
        out = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value != f.default:
                out[_key(f.name)] = str(value).lower() if isinstance(value, bool) else str(value)
        return out


def _is_choice(value: str, choices: Sequence[str]) -> bool:
    kinds = [choice.partition("<")[0] for choice in choices if choice.endswith(">")]
    return value in choices or any(value.startswith(kind) and value != kind for kind in kinds)


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"


_BOOL = {"true": True, "false": False, "1": True, "0": False}


def _parse(cls: type, name: str, value: Any) -> Any:
    default = cls.__dataclass_fields__[name].default  # type: ignore[attr-defined]
    try:
        if isinstance(default, bool):
            return value if isinstance(value, bool) else _BOOL[str(value).strip().lower()]
        return type(default)(value)
    except (KeyError, ValueError, TypeError):
        raise ConfigError(
            f"{_key(name)} takes a {type(default).__name__}, got {value!r}; "
            f"meaning: {cls.__dataclass_fields__[name].metadata['doc']}"  # type: ignore[attr-defined]
        ) from None
