"""Measured rates: what was seen overrides what was computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sparkllm.backend.placement.workload import Bucket

__all__ = ["MeasuredRate", "nearest"]

_NEAR = 1.5  # a measurement speaks for buckets whose input and output are within this factor


@dataclass(frozen=True)
class MeasuredRate:
    """Rows a second of one replica, as seen.

    Attributes:
        model: the model's name, as it is given to the engine.
        gpu: name of the GPU type.
        input_tokens, output_tokens: of one row, mean.
        rows_per_second: of one replica that is kept busy.
        tensor_parallel: GPUs of the replica.
        prefix_hits: share of the input that the prefix cache served, 0..1.
        source: who measured, with what.
    """

    model: str
    gpu: str
    input_tokens: float
    output_tokens: float
    rows_per_second: float
    tensor_parallel: int = 1
    prefix_hits: float = 0.0
    source: str = ""

    @property
    def bucket(self) -> Bucket:
        """The bucket it speaks of, without rows."""
        return Bucket(self.input_tokens, self.output_tokens, 0, self.prefix_hits)


def nearest(
    measured: Sequence[MeasuredRate], model: str, gpu: str, tensor_parallel: int, bucket: Bucket
) -> MeasuredRate | None:
    """The measurement nearest to a bucket, in logarithms of the tokens; None where none is near enough.

    One on as many GPUs comes first; one on more or fewer of the same type still tells how far the model is off.
    """

    def apart(m: MeasuredRate) -> tuple[bool, float, float]:
        far = sum(map(math.log, _factors(m, bucket)))
        return m.tensor_parallel != tensor_parallel, far, abs(m.prefix_hits - bucket.prefix_hits)

    mine = [m for m in measured if (m.model, m.gpu) == (model, gpu)]
    return min((m for m in mine if max(_factors(m, bucket)) <= _NEAR), key=apart, default=None)


def _factors(m: MeasuredRate, bucket: Bucket) -> tuple[float, float]:
    return _factor(m.input_tokens, bucket.input_tokens), _factor(m.output_tokens, bucket.output_tokens)


def _factor(a: float, b: float) -> float:
    return max((a + 1) / (b + 1), (b + 1) / (a + 1))
