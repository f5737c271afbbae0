"""What a Python worker is asked to do: one call, with the settings of the session that planned it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyspark import TaskContext

from sparkllm.backend.control.budget import Budget, ControlAddress, Terms
from sparkllm.calls import LLMCall
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError

__all__ = ["Task", "order_text"]

_EXECUTION = "spark.sql.execution.id"
_DATA_FIRST = "data first"
_GPU, _GPU_TYPE = "gpu", "gpu_"  # Spark's plain name; what begins that of a GPU type, see placement/gpus.toml


@dataclass(frozen=True)
class Task:
    """One call in one Spark task.

    Attributes:
        call: what is asked.
        config: the session's settings when the query was planned.
        application: id of the Spark application, which owns the engine.
        query: Spark's id of the SQL execution, or the name of a rewritten query; outside both, as in `df.rdd`, a stage,
            such as "stage-7"; empty outside Spark.
        field_order: the call's fields in the order of the query's prompts; empty where the plan has not chosen one.
        mark: path of a file that is there as long as the task runs (TaskMark.scala); None where nobody puts one.
        gpus: addresses of the GPUs that Spark gave the task, where they are a replica's; else empty.
        terms: the driver's service and the query's budget; None where there is no such service.
    """

    call: LLMCall
    config: LLMConfig
    application: str
    query: str = ""
    field_order: tuple[int, ...] = ()
    mark: str | None = None
    gpus: tuple[str, ...] = ()
    terms: Terms | None = None

    @classmethod
    def from_request(cls, text: str, field_order: str = "") -> Task:
        """Read what the Catalyst extension wrote: {"call": {...}, "conf": {...}, "application": "...", "mark": "...",
        "control": {"location", "token"}}, or what plain_session.py writes: {"call", "conf", "application", "query"}.

        `field_order` is what stands beside every row: "2,0,1", or "2,0,1;data first" (Placement.scala).

        Settings travel with the plan, not as Spark's local properties: those are missing in `df.rdd` and its like.

        Raises:
            ConfigError: an unknown `spark.sparkllm.*` key, or a value that cannot be used.
        """
        request = json.loads(text)
        context = TaskContext.get()
        order, _, layout = field_order.partition(";")
        call = LLMCall.from_json(json.dumps(request["call"]))
        config = LLMConfig.from_spark(request["conf"])
        return cls(
            call=replace(call, data_first=layout == _DATA_FIRST),
            config=config,
            application=request["application"],
            query=request.get("query") or _query(context),
            field_order=tuple(map(int, order.split(","))) if order else (),
            mark=request.get("mark"),
            gpus=_gpus(context, request.get("placed", False)),
            terms=_terms(config, request.get("control")),
        )


def order_text(fields: Sequence[int], data_first: bool) -> str:
    """What stands beside every row, and `Task.from_request` reads.

    >>> order_text((2, 0, 1), data_first=True)
    '2,0,1;data first'
    """
    return ",".join(map(str, fields)) + (f";{_DATA_FIRST}" if data_first else "")


def _query(context: TaskContext | None) -> str:
    return (context.getLocalProperty(_EXECUTION) or f"stage-{context.stageId()}") if context else ""


def _gpus(context: TaskContext | None, placed: bool) -> tuple[str, ...]:
    """Of a GPU type, or under a placement: there, tasks that share a replica have its address, so one engine.

    Else a task may hold a part of what its executor's one engine runs on, which then sees all, as ever.
    """
    found = context.resources() if context else {}
    names = [name for name in sorted(found) if name.startswith(_GPU_TYPE) or (placed and name == _GPU)]
    return tuple(address for name in names for address in found[name].addresses)


def _terms(config: LLMConfig, control: dict[str, str] | None) -> Terms | None:
    budget = Budget.of(config)
    if control is not None:
        return Terms(ControlAddress(**control), budget)
    if budget is None:
        return None
    raise ConfigError(
        "a budget (spark.sparkllm.maxCalls, maxTotalTokens, maxSeconds, maxCost) takes the driver's control channel, "
        "found none: it is opened by sparkllm.session() and sparkllm.register(), and there is none on Spark Connect"
    )
