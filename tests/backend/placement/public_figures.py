"""NVIDIA's published throughput of TensorRT-LLM (tensorrt_llm.csv), beside what the model of throughput says."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sparkllm.backend.placement import Bucket, ModelShape, ReplicaKind, Serving, load
from sparkllm.backend.placement.throughput import computed_rate

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Figure:
    """One cell of the table."""

    model: str
    gpu: str
    tensor_parallel: int
    bucket: Bucket
    rows_per_second: float


@cache
def about() -> dict[str, Any]:
    return tomllib.loads((HERE / "tensorrt_llm.toml").read_text(encoding="utf-8"))


@cache
def figures() -> tuple[Figure, ...]:
    with (HERE / "tensorrt_llm.csv").open(encoding="utf-8") as file:
        return tuple(map(_figure, csv.DictReader(file)))


def _figure(row: dict[str, str]) -> Figure:
    bucket = Bucket(int(row["input_tokens"]), int(row["output_tokens"]), 1)
    rate = float(row["output_tokens_per_second"]) / bucket.output_tokens
    return Figure(row["model"], row["gpu"], int(row["tensor_parallel"]), bucket, rate)


@cache
def shape(model: str, precision: str) -> ModelShape:
    quantised = {"quantization_config": {"quant_method": "fp8"}} if precision == "fp8" else {}
    return ModelShape.from_config({**about()["models"][model], "dtype": "float16", **quantised}, model)


def computed(figure: Figure) -> float:
    """Rows a second, as served in NVIDIA's runs."""
    precision = about()["precision"][figure.gpu]
    requests = about()["requests"][f"{figure.bucket.input_tokens}+{figure.bucket.output_tokens}"]
    serving = Serving(
        max_seqs=min(about()["max_batch"], requests),
        memory_share=about()["kv_cache_share"],
        kv_bits=8 if precision == "fp8" else 16,
    )
    kind = ReplicaKind(load().gpus[figure.gpu], figure.tensor_parallel)
    return computed_rate(kind, shape(figure.model, precision), figure.bucket, serving)


def errors(of: list[Figure]) -> np.ndarray:
    """Relative, of the computed to the published rate."""
    return np.array([computed(figure) / figure.rows_per_second - 1 for figure in of])
