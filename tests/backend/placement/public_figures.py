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

    version: str
    model: str
    precision: str
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
    tensor_parallel = int(row["tensor_parallel"])
    return Figure(row["version"], row["model"], row["precision"], row["gpu"], tensor_parallel, bucket, rate)


@cache
def shape(model: str, precision: str) -> ModelShape:
    told = {"fp8": {"quant_method": "fp8"}, "fp4": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}
    config = {**about()["models"][model], "dtype": "float16", "quantization_config": told.get(precision)}
    return ModelShape.from_config(config, model)


def computed(figure: Figure) -> float:
    """Rows a second, as served in NVIDIA's runs."""
    requests = about()["requests"][f"{figure.bucket.input_tokens}+{figure.bucket.output_tokens}"]
    serving = Serving(
        max_seqs=min(about()["engine"]["max_batch"], requests),
        memory_share=about()["engine"]["kv_cache_share"],
        kv_bits=16 if figure.precision == "fp16" else 8,
        reserved=about()["engine"]["reserved"],
    )
    kind = ReplicaKind(load().gpus[figure.gpu], figure.tensor_parallel)
    return computed_rate(kind, shape(figure.model, figure.precision), figure.bucket, serving)


def errors(of: list[Figure]) -> np.ndarray:
    """Relative, of the computed to the published rate."""
    return np.array([computed(figure) / figure.rows_per_second - 1 for figure in of])
