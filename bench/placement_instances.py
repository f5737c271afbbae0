"""Random placements to be found, and the formulation they are compared with: one binary for each slice and GPU type.

An instance is one of serving (Mélange, arXiv 2404.14527, sections 4 and 5): requests a second of each bucket, what one
GPU of each type takes of them, a price. The cheapest set of whole GPUs is sought.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from sparkllm.backend.placement import Bucket, ModelShape, ReplicaKind, Serving, load, rate
from sparkllm.backend.placement.problem import Problem

__all__ = ["Instance", "catalogued_instance", "random_instance", "sliced_cost"]

LLAMA_8B = ModelShape.from_config(
    {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
    },
    "Llama-3.1-8B",
)


@dataclass(frozen=True, eq=False)
class Instance:
    """What is asked for, and what GPUs can do.

    Attributes:
        rates: float64 [b], requests a second.
        throughput: float64 [b, g], of them by one GPU; 0 where it cannot.
        usd: float64 [g], an hour of one GPU.
    """

    rates: np.ndarray
    throughput: np.ndarray
    usd: np.ndarray

    @property
    def loads(self) -> np.ndarray:
        """GPUs of a type that a bucket keeps busy, [b, g]; inf where it cannot."""
        with np.errstate(divide="ignore"):
            return self.rates[:, None] / self.throughput

    def problem(self, start: float = 0.0, available: float = np.inf) -> Problem:
        """The same as rows to be done in an hour: a GPU that is held for it has one hour of work in it."""
        kinds = len(self.usd)
        ones = np.ones(kinds, dtype=np.int64)
        return Problem(self.loads, self.usd, np.full(kinds, start), ones, np.arange(kinds), np.full(kinds, available))


def random_instance(seed: int, buckets: tuple[int, int] = (36, 100), types: tuple[int, int] = (4, 6)) -> Instance:
    """Types of which dearer ones are faster, each with its own strengths; one bucket in ten does not fit on the cheaper
    ones; three to forty of the best GPUs are needed."""
    random = np.random.default_rng(seed)
    b, g = int(random.integers(buckets[0], buckets[1] + 1)), int(random.integers(types[0], types[1] + 1))
    usd = np.sort(random.uniform(0.5, 7.0, g))
    speed = usd ** random.uniform(0.8, 1.3) * random.uniform(0.5, 2.0, (b, g)) / random.lognormal(0, 1, b)[:, None]
    speed[:, :-1][random.random((b, g - 1)) < 0.1] = 0.0
    rates = random.lognormal(0, 1.5, b)
    instance = Instance(rates, speed, usd)
    needed = instance.loads.min(axis=1).sum()
    return Instance(rates * random.uniform(3, 40) / needed, speed, usd)


def catalogued_instance(seed: int) -> Instance:
    """Four to six types of the catalogue and Llama-3.1-8B: 6 x 6 to 10 x 10 buckets by input and output, with rates
    from the throughput model and requests spread around a random size; three to forty of the best GPUs are needed."""
    random, gpus = np.random.default_rng(seed), [gpu for gpu in load().gpus.values() if gpu.price]
    types = [gpus[i] for i in random.choice(len(gpus), int(random.integers(4, 7)), replace=False)]
    edge = int(random.integers(6, 11))
    sizes = [(i, o) for i in np.geomspace(32, 16_000, edge) for o in np.geomspace(4, 2000, edge)]
    centre, spread = random.uniform([4, 2], [8, 6]), random.uniform(0.8, 2.0, 2)
    rates = np.exp(-(((np.log(sizes) - centre) / spread) ** 2).sum(axis=1) / 2) * random.uniform(0.5, 1.5, len(sizes))
    kinds, serving = [ReplicaKind(gpu) for gpu in types], Serving()
    speed = np.array([[rate(kind, LLAMA_8B, Bucket(i, o, 1), serving) for kind in kinds] for i, o in sizes])
    usd = np.array([kind.usd_per_hour for kind in kinds])
    served = speed.any(axis=1)
    needed = Instance(rates[served], speed[served], usd).loads.min(axis=1).sum()
    return Instance(rates[served] * random.uniform(3, 40) / needed, speed[served], usd)


def sliced_cost(instance: Instance, slices: int = 1, seconds: float = 60.0) -> float:
    """US dollars an hour, with each bucket cut into equal slices, each of which goes to one type as a whole.

        minimise    sum_g usd_g y_g
        subject to  sum_g x_ig = 1,   sum_i load_ig x_ig <= y_g,   x binary,   y whole

    A slice that a type cannot take is held to 0 for it. What was found when the time is up counts; inf for nothing.
    """
    loads = np.repeat(instance.loads / slices, slices, axis=0)
    s, g = loads.shape
    fits = np.isfinite(loads).ravel()
    each = np.arange(s * g)
    one = sparse.csr_array((np.ones(s * g), (each // g, each)), (s, s * g + g))
    load = sparse.csr_array((np.where(fits, np.where(fits, loads.ravel(), 0), 0), (each % g, each)), (g, s * g))
    found = milp(
        np.append(np.zeros(s * g), instance.usd),
        integrality=np.ones(s * g + g),
        bounds=Bounds(0, np.append(fits.astype(float), np.full(g, np.inf))),
        constraints=[
            LinearConstraint(one, 1, 1),
            LinearConstraint(sparse.hstack([load, -sparse.eye_array(g)], "csr"), -np.inf, 0),
        ],
        options={"time_limit": seconds},
    )
    return float(instance.usd @ np.round(found.x[-g:])) if found.x is not None else float("inf")
