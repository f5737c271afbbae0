"""The house's rules: public names, a light import, and who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sparkllm

PACKAGE = Path(sparkllm.__file__).parent

# folder or module -> what it may never import
FORBIDDEN = {
    "config.py": {"numpy", "pyarrow", "pyspark", "torch", "vllm", "sparkllm.udf", "sparkllm.backend"},
    "errors.py": {"numpy", "pyarrow", "pyspark", "torch", "vllm", "sparkllm."},
    "calls.py": {"numpy", "pyarrow", "pyspark", "torch", "vllm", "sparkllm.udf", "sparkllm.backend"},
    "typed_call.py": {"numpy", "pyarrow", "pyspark", "torch", "vllm", "sparkllm.udf", "sparkllm.backend"},
    "ai_query.py": {"numpy", "pyarrow", "pyspark", "torch", "vllm", "sparkllm.udf", "sparkllm.backend"},
    "optimizer": {"pyspark", "vllm", "torch", "sparkllm.backend", "sparkllm.spec", "sparkllm.udf"},
    "spec": {"pyspark", "sparkllm.udf", "sparkllm.optimizer", "sparkllm.backend"},
    "backend": {"pyspark", "sparkllm.udf", "sparkllm.optimizer"},
    "udf": {"vllm", "torch", "sparkllm.spec", "sparkllm.backend.server", "sparkllm.backend.vllm_engine"},
}
# the one module of a folder that may import what the others may not
ALLOWED = {"optimizer/jar.py": {"pyspark"}, "backend/placement/on_spark.py": {"pyspark"}}
ONLY = {"vllm": {"backend/vllm_engine.py", "spec/scheduler.py"}}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def within(name: str, module: str) -> bool:
    return name.startswith(module) if module.endswith(".") else name == module or name.startswith(module + ".")


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    paths = [PACKAGE / room] if room.endswith(".py") else sorted((PACKAGE / room).rglob("*.py"))
    for path in paths:
        where = str(path.relative_to(PACKAGE))
        never = FORBIDDEN[room] - ALLOWED.get(where, set())
        broken = {name for name in imports(path) for module in never if within(name, module)}
        assert not broken, f"{where} imports {sorted(broken)}"


@pytest.mark.parametrize("module", ONLY)
def test_only_its_own_file_imports(module: str) -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        where = str(path.relative_to(PACKAGE))
        if where not in ONLY[module] and not where.startswith("demo/"):
            assert not {name for name in imports(path) if within(name, module)}, where


# What turns bytes into code; literal_eval and JSON do not.
EVALUATES = {"eval", "exec", "compile", "__import__"}
UNPICKLES = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "marshal",
    "shelve",
    "joblib",
    "yaml",
    "code",
    "codeop",
}
LOADS_CODE = {"torch.load", "numpy.load", "np.load", "pandas.read_pickle", "pd.read_pickle", "pa.deserialize"}


def test_nothing_that_was_received_can_become_code() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        tree, where = ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(PACKAGE))
        calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not {name for name in imports(path) if name.partition(".")[0] in UNPICKLES}, where
        assert not (EVALUATES | LOADS_CODE).intersection(calls), where
        assert not [name for name in calls if name.partition(".")[0] == "builtins"], where


def test_no_shell_reads_a_command() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name, shell = ast.unparse(node.func), [k for k in node.keywords if k.arg == "shell"]
                assert name not in ("os.system", "os.popen", "subprocess.getoutput"), path.name
                assert not shell, path.name


def test_importing_sparkllm_is_light() -> None:
    heavy = "{'pyspark', 'torch', 'vllm', 'numpy', 'pyarrow', 'pandas'}"
    code = f"import sys, sparkllm; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_public_names_are_these() -> None:
    assert set(sparkllm.__all__) == {
        "LLMConfig", "QueryDrift", "QueryEstimate", "QueryProgress", "QueryReport", "SparkLLMError", "check_drift",
        "explain", "last_report", "llm", "llm_agg", "llm_classify", "llm_extract", "llm_filter", "llm_fix_grammar",
        "llm_gen", "llm_mask", "llm_score", "llm_summarize", "llm_summarize_agg", "llm_translate", "map", "place",
        "progress", "register", "register_task", "session", "sql", "stop", "transpile", "workload",
    }  # fmt: skip
    for name in sparkllm.__all__:
        assert getattr(sparkllm, name).__doc__


def test_an_unknown_public_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="last_report"):
        _ = sparkllm.nothing


def test_modules_stay_readable() -> None:
    lengths = {p.name: len(p.read_text(encoding="utf-8").splitlines()) for p in PACKAGE.rglob("*.py")}
    assert {name: n for name, n in lengths.items() if n > 300} == {}


def test_scala_lines_fit_the_screen() -> None:
    files = sorted((PACKAGE / "optimizer" / "catalyst").glob("*.scala"))
    assert files
    lines = [(f.name, i, line) for f in files for i, line in enumerate(f.read_text(encoding="utf-8").splitlines(), 1)]
    assert [(name, i) for name, i, line in lines if len(line) > 120] == []
