"""The ordering engine on large made tables: time and peak memory, and how far from the best order known."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from peak_memory import PeakMemory

from sparkllm.optimizer.order_rows import order_rows
from sparkllm.optimizer.ordering import order
from sparkllm.optimizer.ordering.beam import best_field_order
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.ordering.counts import ExactCounts
from sparkllm.optimizer.ordering.encode import encode_table
from sparkllm.optimizer.ordering.kernels import compiled, kernels_for
from sparkllm.optimizer.ordering.order import order_cells

__all__ = ["made_result", "reviews", "timed"]


def made_result(rows: int, columns: int, seed: int, repeats: int, known_budget: float) -> dict[str, Any]:
    """Time and peak memory of `order`, encoding included; with a budget also the best order known."""
    compiled()
    table = reviews(rows, columns, seed)
    result: dict[str, Any] = {"rows": rows, "columns": columns, "table_mb": table.nbytes / 2**20, "modes": []}
    for mode in ("fixed", "fast"):
        with PeakMemory() as memory:
            whole, found = timed(partial(order, table, mode), repeats)
        shares = {"mode": mode, "cells": found.hit_rate, "peak_above_mb": memory.above / 2**20}
        result["modes"].append({**shares, **whole})
    encode, cells = timed(lambda: encode_table(table), repeats)
    known = best_known(cells, table.schema.names, known_budget) if known_budget else None
    return {**result, "encode": encode, "best_known": known}


def best_known(cells: Cells, names: list[str], budget: float) -> dict[str, Any]:
    """What mode best reaches with much time, and the best of all fixed orders, by exact counts of every set."""
    solve, found = timed(partial(order_cells, cells, names, "best", budget), 1)
    kernels = kernels_for(cells)
    exact, fields = timed(
        lambda: best_field_order(ExactCounts(cells, kernels), cells.columns, width=2**cells.columns), 1
    )
    shared = kernels.shared_with_previous(cells, order_rows(cells.codes, fields), np.array(fields, dtype=np.int16))
    return {
        "best": {"budget": budget, "method": found.method, "cells": found.hit_rate, "ms": solve["ms"]},
        "fixed": {"method": "every set of columns", "cells": int(shared.sum()) / cells.total, "ms": exact["ms"]},
    }


def timed(work: Callable[[], Any], repeats: int) -> tuple[dict[str, float], Any]:
    """Milliseconds of `work` and its result."""
    wall, cpu = [], []
    for _ in range(repeats):
        clocks = time.perf_counter(), time.process_time()
        result = work()
        wall.append((time.perf_counter() - clocks[0]) * 1000)
        cpu.append((time.process_time() - clocks[1]) * 1000)
    return {"ms": median(wall), "ms_least": min(wall), "ms_most": max(wall), "cpu_ms": min(cpu)}, result


def reviews(rows: int, columns: int, seed: int) -> pa.Table:
    """Reviews in random order: 30 of a product, whose id and style follow from its name, and 50 of a user, some of both
    far more often than others; a day, and marks that few values share. Columns above 9 are more marks."""
    random = np.random.default_rng(seed)
    products, users = max(1, rows // 30), max(1, rows // 50)
    product, user = ((many * random.random(rows) ** 2).astype(np.int64) for many in (products, users))
    made = {
        "user": ("user_", user),
        "day": ("", 1_000_000_000 + 86_400 * random.integers(0, 4000, rows)),
        "name": ("The Fine Product Number ", product),
        "style": ("Style of ", product % 89),
        "id": ("", product * 7919 % 1_000_003 + 1_000_003 * product),
    }
    for k in range(columns - len(made)):
        most = (20, 10, 5, 5)[k % 4]
        marks = np.clip(random.normal(0.6 * most, 0.2 * most, rows), 0, most).astype(np.int64)
        made[f"mark {k}"] = (f"{most}: ", marks)
    names = random.permutation(list(made))[:columns].tolist()
    return pa.table({name: text(*made[name]) for name in names})


def text(prefix: str, values: np.ndarray) -> pa.Array:
    """Numbers as text behind a prefix."""
    return pc.binary_join_element_wise(prefix, pa.array(values).cast(pa.string()), "")
