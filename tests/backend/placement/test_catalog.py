"""The catalogue: what is built in, what a user's file adds and changes, and what is said of a wrong entry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sparkllm.backend.placement import Bucket, ModelShape, Workload, load, plan
from sparkllm.errors import ConfigError
from tests.backend.placement.public_figures import shape

NEW_TYPE = """
[gpu.RTX6000]
memory_gib = 94.5
bandwidth_gb_s = 1597
tflops = { fp16 = 504, fp8 = 1008 }
link_gb_s = 128
per_host = 8
resource = "gpu_rtx6000"
label = "nvidia.com/gpu.product=NVIDIA-RTX-PRO-6000"
price = { usd_per_hour = 2.0, source = "our contract", date = 2026-11-01 }
"""
UNPRICED = NEW_TYPE[: NEW_TYPE.index("price")]
MODEL = shape("Llama-3.1-8B", "fp16")
WORK = Workload((Bucket(300, 20, 10_000),))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own.toml"


def test_every_type_that_was_promised_is_there_with_a_resource_and_a_label() -> None:
    gpus = load().gpus
    assert set(gpus) == {"L4", "A10G", "T4", "L40S", "A100-40", "A100-80", "H100", "H200", "B200", "MI300X"}
    assert len({gpu.resource for gpu in gpus.values()}) == len(gpus)
    assert gpus["L4"].resource == "gpu_l4"
    assert all(re.fullmatch(r"(nvidia|amd)\.com/gpu\.product(-name)?=\S+", gpu.label) for gpu in gpus.values())


def test_every_price_has_a_source_and_a_date() -> None:
    assert load().unpriced == ()
    for gpu in load().gpus.values():
        assert gpu.price is not None
        assert gpu.price.source
        assert re.match(r"20\d\d", gpu.price.date)


def test_dense_rates_double_with_half_the_bits() -> None:
    """Sparse rates, twice as high, are what data sheets print in larger letters."""
    for gpu in load().gpus.values():
        for eight in ("fp8", "int8"):
            assert gpu.flops(eight) in (gpu.flops("fp16"), pytest.approx(2 * gpu.flops("fp16"), rel=0.02))


def test_a_file_changes_single_keys_and_adds_types(own: Path) -> None:
    own.write_text('[gpu.L4]\nprice = { usd_per_hour = 0.5, source = "ours", date = "2026-11" }' + NEW_TYPE)
    catalog, builtin = load(own), load()
    assert catalog.gpus["L4"].price is not None
    assert (catalog.gpus["L4"].price.usd_per_hour, catalog.gpus["L4"].memory_gib) == (
        0.5,
        builtin.gpus["L4"].memory_gib,
    )
    assert catalog.gpus["RTX6000"].price is not None
    assert catalog.gpus["RTX6000"].price.date == "2026-11-01"
    assert catalog.gpus["H100"] == builtin.gpus["H100"]
    assert plan(WORK, MODEL, catalog, available={"RTX6000": 1}).feasible


def test_one_type_of_number_can_be_changed_alone(own: Path) -> None:
    own.write_text("[gpu.L4.tflops]\nfp8 = 200\n")
    assert load(own).gpus["L4"].tflops == {**load().gpus["L4"].tflops, "fp8": 200}


def test_measured_rates_are_read(own: Path) -> None:
    own.write_text(
        '[[measured]]\nmodel = "m"\ngpu = "L4"\ninput_tokens = 300\noutput_tokens = 20\n'
        'rows_per_second = 9.5\nsource = "run 7"\n'
    )
    (seen,) = load(own).measured
    assert (seen.gpu, seen.tensor_parallel, seen.bucket, seen.rows_per_second) == ("L4", 1, Bucket(300, 20, 0), 9.5)


@pytest.mark.parametrize(
    ("text", "line", "entry", "expected", "found"),
    [
        ("[gpu.L4]\n\nmemory_gib = -3", 3, "gpu.L4.memory_gib", "a number above 0", "-3"),
        ("[gpu.L4]\nmemory = 3", 2, "gpu.L4.memory", "one of memory_gib", "did you mean memory_gib"),
        ("[gpu.L4]\nper_host = 1.5", 2, "gpu.L4.per_host", "a whole number", "1.5"),
        ("[gpu.L4]\nlabel = 'L4'", 2, "gpu.L4.label", "key=value", "'L4'"),
        ("[gpu.L4]\nprice = 3", 2, "gpu.L4.price", "a table", "3"),
        ("[gpu.L4.price]\nusd_per_hour = true", 2, "gpu.L4.price.usd_per_hour", "a number", "True"),
        ("# mine\n[gpu.L4]\nprice = { usd_per_hour = 1 }", 3, "gpu.L4.price", "source, date", "usd_per_hour"),
        ("[gpu.L4.price]\nusd_per_hour=1\nsource='x'\ndate='May'", 4, "gpu.L4.price.date", "YYYY-MM-DD", "May"),
        ("[gpu.L4.tflops]\nfp12 = 1", 2, "gpu.L4.tflops.fp12", "fp16, bf16", "fp12"),
        ("gpus = 1\n", 1, "gpus", "one of gpu, measured", "did you mean gpu"),
        ("\n\n[gpu.New]\nmemory_gib = 3", 3, "gpu.New", "bandwidth_gb_s", "memory_gib"),
        (NEW_TYPE.replace("fp16", "bf16"), 5, "gpu.RTX6000.tflops", "fp16", "bf16"),
        ("[[measured]]\nmodel='m'", 1, "measured.0", "gpu, input_tokens", "model"),
        ("measured = 4", 1, "measured", "[[measured]]", "4"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named(own: Path, text: str, line: int, entry: str, expected: str, found: str) -> None:
    own.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(own)
    said = str(error.value)
    assert said.startswith(f"{own}, line {line}, {entry}: expected ")
    assert expected in said.split("found")[0]
    assert found in said.split("found", 1)[1]


def test_a_measured_rate_of_an_unknown_type_names_its_line(own: Path) -> None:
    rate = '[[measured]]\nmodel="m"\ngpu="{}"\ninput_tokens=1\noutput_tokens=1\nrows_per_second=1\nsource="s"\n'
    own.write_text(rate.format("L4") + rate.format("L5"))
    with pytest.raises(ConfigError, match=r"own.toml, line 10, measured.1.gpu: expected one of T4, L4.*found 'L5'"):
        load(own)


def test_text_that_is_no_toml_names_its_line(own: Path) -> None:
    own.write_text("[gpu.L4]\nmemory_gib == 3")
    with pytest.raises(ConfigError, match=r"own.toml: expected TOML.*line 2"):
        load(own)


def test_a_missing_file_is_named(own: Path) -> None:
    with pytest.raises(ConfigError, match=r"own\.toml: expected a catalogue"):
        load(own)


@pytest.mark.parametrize("asked", [{"available": {"RTX6000": 4}}, {"cluster": {"RTX6000": 4}}])
def test_a_type_without_a_price_is_refused_where_it_is_asked_for(own: Path, asked: dict) -> None:
    own.write_text(UNPRICED)
    with pytest.raises(ConfigError, match=r"knows no price of RTX6000.*\[gpu.RTX6000\] with price"):
        plan(WORK, MODEL, load(own), **asked)


def test_a_type_without_a_price_is_left_out_and_named_where_all_types_may_be_used(own: Path) -> None:
    own.write_text(UNPRICED)
    found = plan(WORK, MODEL, load(own))
    assert "RTX6000" not in {kind.gpu.name for kind in found.kinds}  # type: ignore[union-attr]
    assert "left out, as no price is known: RTX6000" in found.explain()


def test_an_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no GPU type 'L5'.*L4"):
        plan(WORK, MODEL, available={"L5": 1})


def test_a_model_folder_without_a_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config.json: expected a Hugging Face config.json"):
        ModelShape.from_folder(tmp_path)
