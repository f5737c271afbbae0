"""A GPU type, what it costs, and a replica of the model on one or more of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["GPU", "NUMBER_TYPES", "Price", "ReplicaKind"]

NUMBER_TYPES = ("fp16", "bf16", "fp8", "int8", "fp4")


@dataclass(frozen=True)
class Price:
    """List price of one GPU-hour, on demand, in US dollars; `date` as YYYY, YYYY-MM or YYYY-MM-DD."""

    usd_per_hour: float
    source: str
    date: str


@dataclass(frozen=True)
class GPU:
    """One entry of the catalogue; gpus.toml says where each figure comes from.

    Attributes:
        name: such as `A100-80`.
        memory_gib: of the device, as CUDA or ROCm reports it.
        bandwidth_gb_s: of its memory, 10^9 bytes a second.
        tflops: dense, by type of number (`NUMBER_TYPES`), 10^12 operations a second; fp16 always, others where the
            hardware has them.
        link_gb_s: to the other GPUs of its host, both directions together.
        per_host: most GPUs of one host.
        resource: Spark's name of the resource.
        label: Kubernetes node label, `key=value`.
        price: None where it is unknown.
    """

    name: str
    memory_gib: float
    bandwidth_gb_s: float
    tflops: Mapping[str, float]
    link_gb_s: float
    per_host: int
    resource: str
    label: str
    price: Price | None = None

    def flops(self, number_type: str) -> float:
        """Operations a second in this type of number, in 16 bits where the hardware has none for it.

        16 bits are also what vLLM computes in then: weights of 4 and 8 bits are unpacked on the way.
        """
        return 1e12 * self.tflops.get(number_type, self.tflops["fp16"])


@dataclass(frozen=True)
class ReplicaKind:
    """One engine with the whole model: on one GPU, or spread over `tensor_parallel` GPUs of one host.

    >>> l4 = GPU("L4", 22, 300, {"fp16": 121}, 64, 8, "gpu_l4", "a=b", Price(0.81, "made up", "2026"))
    >>> ReplicaKind(l4).name, ReplicaKind(l4, 2).name, ReplicaKind(l4, 2).usd_per_hour
    ('L4', '2xL4', 1.62)
    """

    gpu: GPU
    tensor_parallel: int = 1

    @property
    def name(self) -> str:
        """`L4`, or `2xL4` for a replica on two of them."""
        return self.gpu.name if self.tensor_parallel == 1 else f"{self.tensor_parallel}x{self.gpu.name}"

    @property
    def usd_per_hour(self) -> float:
        """Of the replica; NaN where the price is unknown."""
        return self.tensor_parallel * self.gpu.price.usd_per_hour if self.gpu.price else float("nan")
