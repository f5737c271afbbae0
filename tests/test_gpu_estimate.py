"""Seconds and dollars by GPU type: the placement's own rates and prices, for one replica."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparkllm.backend.placement import Bucket, Catalog, MeasuredRate, ModelShape, ReplicaKind, Serving, load, rate
from sparkllm.gpu_estimate import by_gpu

LARGE = {
    "num_hidden_layers": 80, "hidden_size": 8192, "num_attention_heads": 64, "num_key_value_heads": 8,
    "intermediate_size": 28672, "vocab_size": 128256, "model_type": "llama",
}  # fmt: skip
SMALL = LARGE | {"num_hidden_layers": 16, "hidden_size": 2048, "num_attention_heads": 32, "intermediate_size": 8192}
BUCKETS = (Bucket(300, 2, 10_000, 0.6), Bucket(2000, 2, 100, 0.2), Bucket(5, 5, 0))


def test_a_type_has_the_time_of_its_rates_and_the_price_of_that_time() -> None:
    model, catalog = ModelShape.from_config(SMALL, "small"), load()
    found = {one.replica: one for one in by_gpu(BUCKETS, model, catalog, Serving())}
    kind = ReplicaKind(catalog.gpus["L4"])
    seconds = sum(bucket.rows / rate(kind, model, bucket, Serving()) for bucket in BUCKETS if bucket.rows)
    assert found["L4"].seconds == pytest.approx(seconds)
    assert found["L4"].usd == pytest.approx(seconds / 3600 * kind.usd_per_hour)
    assert [one.usd for one in found.values()] == sorted(one.usd for one in found.values())
    assert (found["H100"].compared, found["L4"].compared) == (True, False)


def test_a_model_that_is_too_large_for_one_is_on_several_or_left_out() -> None:
    model = ModelShape.from_config(LARGE, "large")
    found = {one.replica for one in by_gpu(BUCKETS, model, load(), Serving())}
    assert not {"T4", "L4", "H100"} & found
    assert any(name.endswith("xH100") for name in found)


def test_types_without_a_price_are_left_out_and_what_was_measured_counts() -> None:
    model, catalog = ModelShape.from_config(SMALL, "small"), load()
    own = Catalog({"L4": catalog.gpus["L4"], "T4": replace(catalog.gpus["T4"], price=None)}, ())
    [computed] = by_gpu(BUCKETS[:1], model, own, Serving())
    seen = MeasuredRate("small", "L4", 300, 2, 10.0, prefix_hits=0.6)
    [measured] = by_gpu(BUCKETS[:1], model, replace(own, measured=(seen,)), Serving())
    assert (measured.seconds, measured.compared) == (pytest.approx(1000.0), True)
    assert computed.seconds != pytest.approx(1000.0)
