"""Rows a second of one replica: a roofline, with as many sequences at a time as the KV cache holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparkllm.backend.placement.gpu import ReplicaKind
from sparkllm.backend.placement.measured import MeasuredRate, nearest
from sparkllm.backend.placement.model_shape import ModelShape
from sparkllm.backend.placement.workload import Bucket

__all__ = ["COMPARED", "Serving", "computed_rate", "rate"]

# Fitted to the 36 figures of Llama-3.1-8B in tests/backend/placement/tensorrt_llm.csv (test_throughput.py fits anew):
MFU = 0.784  # share of the data sheet's operations that matrix products reach
MBU = 0.918  # share of the data sheet's memory bandwidth that steps reach
# Bytes for each layer, token and unit of the hidden size that go through memory between the matrix products: norms,
# residuals, rotations, activations. Not cut by tensor parallelism; a mixture moves each token once more per expert.
BETWEEN = 110.1
# Not fitted, as the batches of that table are too large to show them:
STEP_SECONDS = 0.86e-3  # of the scheduler and of launches, for each step
LINK_SHARE = 0.6  # of the link's data-sheet bandwidth that an all-reduce reaches
# GPU types whose computed rates were compared with public measurements; all others rest on the data sheet alone.
COMPARED = ("L40S", "A100-80", "H100", "H200")
_GIB = 2**30


@dataclass(frozen=True)
class Serving:
    """How the engines run.

    Attributes:
        max_seqs: most sequences in one step, as vLLM's max_num_seqs.
        memory_share: of the device for vLLM, as gpu_memory_utilization.
        activation_gib: memory of each GPU that neither weights nor KV cache get.
        kv_bits: of one value in the KV cache: 16, or 8 for kv_cache_dtype=fp8.
        reserved: share of its answer that a running sequence has room for in the KV cache, mean: vLLM allocates as it
            goes, 0.5; TensorRT-LLM, which the constants were fitted to, holds room for the whole answer, 1.
        start_seconds: from asking for a machine to the first answer: container, weights, compilation. Measure yours.
    """

    max_seqs: int = 256
    memory_share: float = 0.9
    activation_gib: float = 1.0
    kv_bits: int = 16
    reserved: float = 0.5
    start_seconds: float = 180.0


def rate(
    kind: ReplicaKind, model: ModelShape, bucket: Bucket, serving: Serving, measured: Sequence[MeasuredRate] = ()
) -> float:
    """Rows a second of one replica that is kept busy with rows of this bucket.

    A measured rate stands for buckets near it (a factor of 1.5 in input and output) and for replicas of more or fewer
    GPUs of its type, moved by what the model says of the difference; where nothing differs it is taken as it is.

    Returns:
        0 where the weights and one sequence do not fit.
    """
    computed = computed_rate(kind, model, bucket, serving)
    seen = nearest(measured, model.name, kind.gpu.name, kind.tensor_parallel, bucket)
    if seen is None:
        return computed
    there = computed_rate(ReplicaKind(kind.gpu, seen.tensor_parallel), model, seen.bucket, serving)
    if computed and there:
        return seen.rows_per_second * computed / there
    return seen.rows_per_second if seen.tensor_parallel == kind.tensor_parallel else computed


def computed_rate(kind: ReplicaKind, model: ModelShape, bucket: Bucket, serving: Serving) -> float:
    """The same without measurements: 1 / (time of one row when the batch is full).

    t = operations / (F * MFU) + bytes / (BW * MBU) + steps / batch * STEP_SECONDS + all-reduces

    Mean error against NVIDIA's figures for TensorRT-LLM: 5 % on those the constants were fitted to; 6 % on 77 others of
    that table, dense models on 1 and 2 GPUs; 9 % (worst 42 %) on all 194 others, with 8 GPUs, which it underrates by a
    fifth, and a mixture of experts; 9 % on 60 of a later table for H100 and H200. No constant has seen the others, but
    the form was chosen with the first table in view, and `reserved` came in, from what is documented of that engine's
    scheduler, after both were. A B200 in 4 bits is a fifth off. Good for sizing, not for near-ties.

    Shared prefixes save computing here, not room in the KV cache, though vLLM keeps a shared block once.
    """
    tp, batch = kind.tensor_parallel, _batch(kind, model, bucket, serving)
    if not batch:
        return 0.0
    steps, computed = bucket.output_tokens, bucket.input_tokens * (1 - bucket.prefix_hits) + bucket.output_tokens
    context = bucket.input_tokens + bucket.output_tokens / 2
    bandwidth = 1e9 * kind.gpu.bandwidth_gb_s * MBU
    seconds = _arithmetic(kind, model, bucket)
    seconds += steps * (model.bytes_read(batch) / batch + _kv_bytes(kind, model, serving) * context) / (bandwidth * tp)
    wide = model.hidden * (1 + model.weights.experts_per_token)
    seconds += BETWEEN * model.layers * wide * computed / bandwidth
    seconds += steps / batch * STEP_SECONDS
    if tp > 1:  # two all-reduces of 16-bit values in each layer, 2 (tp - 1) / tp of the values over each link
        sent = 2 * model.layers * model.hidden * 2 * computed * 2 * (tp - 1) / tp
        seconds += sent / (1e9 * kind.gpu.link_gb_s / 2 * LINK_SHARE)
    return 1 / seconds


def _batch(kind: ReplicaKind, model: ModelShape, bucket: Bucket, serving: Serving) -> float:
    """Sequences at a time: as many as the KV cache has room for; 0: not even one."""
    memory = _GIB * kind.tensor_parallel * (serving.memory_share * kind.gpu.memory_gib - serving.activation_gib)
    free, token = memory - model.weight_bytes, _kv_bytes(kind, model, serving)
    if free < token * (bucket.input_tokens + bucket.output_tokens):
        return 0.0
    return min(serving.max_seqs, free / (token * (bucket.input_tokens + bucket.output_tokens * serving.reserved)))


def _kv_bytes(kind: ReplicaKind, model: ModelShape, serving: Serving) -> float:
    """Of one token on all GPUs of the replica, each of which keeps one head at least."""
    return model.kv_values * serving.kv_bits / 8 * max(1.0, kind.tensor_parallel / model.kv_heads)


def _arithmetic(kind: ReplicaKind, model: ModelShape, bucket: Bucket) -> float:
    """Seconds of matrix products and attention for one row."""
    ask, answer, cached = bucket.input_tokens, bucket.output_tokens, bucket.input_tokens * bucket.prefix_hits
    layers = 2 * model.active * (ask - cached + answer)
    head = 2 * model.vocabulary * answer
    pairs = (ask**2 - cached**2) / 2 + answer * (ask + answer / 2)  # of a token with the tokens before it
    attention = 2 * model.layers * model.attention_width * pairs
    whole = layers / kind.gpu.flops(model.quantisation.number_type) + (head + attention) / kind.gpu.flops(model.dtype)
    return whole / (MFU * kind.tensor_parallel)
