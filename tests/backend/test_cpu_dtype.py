from pathlib import Path

from sparkllm.backend.cpu_dtype import fastest_dtype


def test_a_cpu_without_bfloat16_instructions_takes_float32(tmp_path: Path) -> None:
    assert fastest_dtype("x86_64", _cpuinfo(tmp_path, "fma avx2 f16c")) == "float32"


def test_a_cpu_with_bfloat16_instructions_leaves_it_to_vllm(tmp_path: Path) -> None:
    for flag in ("avx512_bf16", "amx_bf16"):
        assert fastest_dtype("x86_64", _cpuinfo(tmp_path, f"fma avx2 {flag}")) == "auto"


def test_where_nothing_is_known_of_the_cpu_it_is_left_to_vllm(tmp_path: Path) -> None:
    without_flags = _cpuinfo(tmp_path, "").with_name("other")
    without_flags.write_text("processor\t: 0\n")
    assert fastest_dtype("x86_64", tmp_path / "missing") == "auto"
    assert fastest_dtype("x86_64", without_flags) == "auto"
    assert fastest_dtype("aarch64", _cpuinfo(tmp_path, "fp asimd bf16")) == "auto"


def _cpuinfo(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n")
    return path
