"""place(): which GPUs for a query, how many, and which rows where, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sparkllm.backend.endpoint.settings import is_endpoint
from sparkllm.backend.model_path import resolve
from sparkllm.backend.placement import Catalog, Infeasible, ModelShape, Plan, Serving, load, plan
from sparkllm.backend.placement.duration import seconds
from sparkllm.config import PREFIX, LLMConfig
from sparkllm.errors import ConfigError
from sparkllm.prompt_sample import ROWS
from sparkllm.query_workload import asked_models, workload

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["model_shape", "place", "serving", "serving_of"]


def place(
    query: DataFrame | str,
    spark: SparkSession | None = None,
    *,
    deadline: str | float | None = None,
    budget: float | None = None,
    objective: str = "cost",
    available: Mapping[str, float] | None = None,
    cluster: Mapping[str, int] | None = None,
    billing: str = "released",
    catalog: Catalog | str | Path | None = None,
    serving: Serving | None = None,
    rows: int = ROWS,
    output_tokens: float | None = None,
) -> Plan | Infeasible:
    """Which GPUs to run a query on: the cheapest that meet a deadline, or the fastest within a budget.

    Takes the query's workload (`sparkllm.workload`: a sample and a count, no model is asked), the model's shape from
    its config.json, and the catalogue's prices and speeds; `sparkllm.backend.placement.plan` then solves.

    Args:
        query: a DataFrame, or the text of a query; its calls ask one model.
        spark: the session of a text; the active one when left out.
        deadline: such as "2h", "90m" or seconds, starts of replicas included.
        budget: US dollars.
        objective: `cost` or `time`.
        available: GPUs there are, by type, such as {"L4": 8, "H100": 2}; all types with a price when left out.
        cluster: replicas that run already, such as {"L4": 3, "2xA100-80": 1}.
        billing: `released` or `held`.
        catalog: GPU types and prices, or a TOML file that adds to the built-in ones.
        serving: how the engines run; the session's settings and vLLM's defaults when left out.
        rows: most rows of a sample.
        output_tokens: mean tokens of answers that are texts; half of `maxTokens` when left out.

    Returns:
        The plan, or what makes it impossible and what would do; both have `feasible` and `explain()`.

    Raises:
        ConfigError: no model is asked, or several; its config.json is not on this machine; wrong terms.
    """
    until = None if deadline is None else seconds(deadline)
    types = catalog if isinstance(catalog, Catalog) else load(catalog)
    models = asked_models(query, spark)
    if len(models) > 1:
        raise ConfigError(
            f"a placement is for one model, the query asks {', '.join(models)}: place its parts one by one"
        )
    work = workload(query, spark, rows, output_tokens)
    return plan(
        work, model_shape(models[0]), types, objective, until, budget, available, cluster, billing,
        serving or serving_of(query, spark),
    )  # fmt: skip


def model_shape(model: str) -> ModelShape:
    """Of a model in a local folder or in Hugging Face's cache; nothing is downloaded.

    Raises:
        ConfigError: its config.json is not on this machine, or is none of a decoder-only language model.
        EngineStartError: a path without a model.
    """
    from huggingface_hub import try_to_load_from_cache  # comes with tokenizers

    if is_endpoint(model):
        raise ConfigError(
            f"a placement is for GPUs of your own, {model!r} is on its server: name a model that vLLM runs"
        )
    folder = resolve(model)
    if Path(folder).is_absolute():
        return ModelShape.from_folder(folder, model)
    found = try_to_load_from_cache(model, "config.json")
    if not isinstance(found, str):
        raise ConfigError(
            f"the config.json of {model} is not on this machine: fetch it with `hf download {model} config.json "
            f"tokenizer.json tokenizer_config.json`, or name a folder that holds it"
        )
    return ModelShape.from_folder(Path(found).parent, model)


def serving_of(query: DataFrame | str, spark: SparkSession | None) -> Serving:
    """As the session sets its engines up."""
    from sparkllm.spark_session import session_of

    conf = session_of(query, spark).conf.getAll
    return serving(LLMConfig.from_spark({k: v for k, v in conf.items() if k.startswith(PREFIX)}))


def serving(config: LLMConfig) -> Serving:
    """As these settings set engines up."""
    usual = Serving()
    return Serving(max_seqs=config.max_num_seqs or usual.max_seqs, memory_share=config.gpu_memory_utilization)
