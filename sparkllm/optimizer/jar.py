"""The jar with the Catalyst extension, compiled on first use by the Scala compiler inside the user's own pyspark.

Binaries do not carry over between Spark's minor versions; a few hundred lines compile in some ten seconds, once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import zipfile
from importlib import resources, util
from pathlib import Path

from sparkllm.errors import JavaError

__all__ = ["EXTENSION", "build_jar", "find_java"]

EXTENSION = "sparkllm.catalyst.SparkLLMExtensions"  # what `spark.sql.extensions` names
_RESOURCE = "sparkllm/tasks.json"
_LEAST_JAVA = 17
_GET_JAVA = (
    "install a Java runtime, for example `apt-get install openjdk-17-jre-headless`, `brew install openjdk@17` or "
    "`conda install -c conda-forge openjdk=17`, or set JAVA_HOME"
)


def build_jar() -> Path:
    """Path of the jar for this sparkllm and this pyspark; compiles it where it is not in the cache.

    Raises:
        JavaError: no Java of 17 or later, or the extension does not compile against this Spark.
    """
    sources, tasks = _sources(), resources.files("sparkllm").joinpath("tasks.json").read_bytes()
    name = f"{_digest(sources, tasks)}-spark{_spark_version(_spark_jars())}.jar"
    folder = _cache_folder()
    jar = folder / name
    if not jar.exists():
        _compile(sources, tasks, jar)
    return jar


def find_java() -> str:
    """Path of the `java` command: JAVA_HOME's, else the first on PATH.

    Raises:
        JavaError: there is none, or it is older than 17.
    """
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if not found or not shutil.which(found):
        looked = f"JAVA_HOME/bin/java ({found})" if home else "`java` on PATH (JAVA_HOME is not set)"
        raise JavaError(f"Spark needs Java {_LEAST_JAVA} or later; looked for {looked} and found none; {_GET_JAVA}")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    if not version or int(version[1]) < _LEAST_JAVA:
        text = (said.stderr or said.stdout).strip().partition("\n")[0]
        raise JavaError(f"Spark needs Java {_LEAST_JAVA} or later; {found} is {text or 'silent'}; {_GET_JAVA}")
    return found


def _sources() -> dict[str, bytes]:
    folder = resources.files("sparkllm.optimizer").joinpath("catalyst")
    found = {f.name: f.read_bytes() for f in folder.iterdir() if f.name.endswith(".scala")}
    if not found:
        raise JavaError(f"no Scala sources in {folder}: install sparkllm again, this copy is not complete")
    return dict(sorted(found.items()))


def _digest(sources: dict[str, bytes], tasks: bytes) -> str:
    whole = hashlib.sha256()
    for name, text in [*sources.items(), (_RESOURCE, tasks)]:
        whole.update(f"{name} {len(text)}\n".encode() + text)
    return whole.hexdigest()[:16]


def _spark_version(jars: Path) -> str:
    """The version in `spark-core_2.13-4.3.0.jar`: that of the JVM, which may not be the wheel's."""
    found = [m[1] for f in jars.glob("spark-core_*.jar") if (m := re.fullmatch(r"spark-core_[\d.]+-(.+)\.jar", f.name))]
    if not found:
        raise JavaError(f"no Spark in {jars}: looked for spark-core_*.jar; check SPARK_HOME, or `pip install pyspark`")
    return found[0]


def _spark_jars() -> Path:
    """The jars that Spark itself will run with: SPARK_HOME's, else the wheel's."""
    home = os.environ.get("SPARK_HOME")
    if home:
        return Path(home, "jars")
    spec = util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise JavaError("pyspark is not installed; `pip install pyspark`")
    return Path(spec.origin).parent / "jars"


def _cache_folder() -> Path:
    """The user's cache folder, or one of this user's own in the temporary folder where that is not writable.

    The JVM runs what lies there: a folder in which anybody may write is not taken.
    """
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: a user without a home folder
        wanted = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "sparkllm")
        wanted.mkdir(parents=True, exist_ok=True)
        found = wanted.stat()
        if found.st_uid == os.getuid() and not found.st_mode & stat.S_IWOTH:
            with tempfile.TemporaryFile(dir=wanted):
                return wanted
    return Path(tempfile.mkdtemp(prefix="sparkllm-jar-"))


def _compile(sources: dict[str, bytes], tasks: bytes, jar: Path) -> None:
    with tempfile.TemporaryDirectory(dir=jar.parent, prefix="build-") as folder:
        files = [Path(folder, name) for name in sources]
        for file in files:
            file.write_bytes(sources[file.name])
        built = Path(folder, "built.jar")
        _run_compiler(built, files)
        with zipfile.ZipFile(built, "a") as archive:
            archive.writestr(_RESOURCE, tasks)
        os.replace(built, jar)  # atomic: whoever builds at the same time puts the same jar there


def _run_compiler(built: Path, files: list[Path]) -> None:
    java, jars = find_java(), _spark_jars()
    command = [java, "-cp", f"{jars}/*", "scala.tools.nsc.Main", "-usejavacp", "-nobootcp", "-nowarn", "-d", str(built)]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    if done.returncode or not built.exists():
        said = (done.stdout + done.stderr).strip().splitlines()
        first = [line for line in said if "error" in line.lower()][:5] or said[:5]
        raise JavaError(
            f"the Catalyst extension does not compile against Spark {_spark_version(jars)} (jars in {jars}); "
            "sparkllm takes Spark 4.0 to 4.3; the compiler said:\n" + "\n".join(first)
        )
