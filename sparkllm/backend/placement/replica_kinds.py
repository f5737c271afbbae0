"""The kinds of replica worth planning with: each GPU type, alone or several of a host together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sparkllm.backend.placement.gpu import GPU, ReplicaKind
from sparkllm.backend.placement.model_shape import ModelShape
from sparkllm.errors import ConfigError

__all__ = ["named_kind", "replica_kinds", "undominated"]


def replica_kinds(gpus: Iterable[GPU], model: ModelShape) -> tuple[ReplicaKind, ...]:
    """Each type with 1, 2, 4, ... GPUs of a host, as far as the model's heads can be cut evenly."""
    return tuple(
        ReplicaKind(gpu, 1 << power)
        for gpu in gpus
        for power in range(gpu.per_host.bit_length())
        if model.heads % (1 << power) == 0
    )


def undominated(kinds: tuple[ReplicaKind, ...], rates: np.ndarray) -> np.ndarray:
    """Places of the kinds that no other of the same type makes superfluous, int64 [.].

    A replica on more GPUs is, when for every bucket it is no faster than as many GPUs in smaller replicas.

    Args:
        rates: float64 [b, g], rows a second of one replica.
    """
    per_gpu = rates / np.array([kind.tensor_parallel for kind in kinds])
    keep = [
        g
        for g, kind in enumerate(kinds)
        if rates[:, g].any()
        and not any(
            other.gpu.name == kind.gpu.name
            and other.tensor_parallel < kind.tensor_parallel
            and (per_gpu[:, o] >= per_gpu[:, g]).all()
            for o, other in enumerate(kinds)
        )
    ]
    return np.array(keep, dtype=np.int64)


def named_kind(name: str, gpus: dict[str, GPU]) -> ReplicaKind:
    """`L4` or `2xL4`, as plans name them.

    Raises:
        ConfigError: it is neither.
    """
    count, _, gpu = name.partition("x")
    if name in gpus:
        return ReplicaKind(gpus[name])
    if count.isdecimal() and int(count) > 0 and gpu in gpus:
        return ReplicaKind(gpus[gpu], int(count))
    raise ConfigError(
        f"expected a kind of replica such as L4 or 2xL4, with a type of {', '.join(gpus)}, found {name!r}"
    )
