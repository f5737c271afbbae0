"""`sparkllm jar`: where the compiled Catalyst extension is, for those who start Spark themselves."""

from __future__ import annotations

import argparse
import sys
from typing import Any

__all__ = ["add_jar"]

_EPILOG = """\
Standard output has the path alone. Ends with 0, or with 2 where there is no Java or the extension does not compile.

  spark-submit --jars "$(sparkllm jar)" --conf spark.sql.extensions=sparkllm.catalyst.SparkLLMExtensions job.py
"""


def add_jar(commands: Any) -> None:
    """The command."""
    parser = commands.add_parser(
        "jar",
        help="path of the compiled Catalyst extension",
        description="Compiles the extension for the Spark of this Python where it has not been, and prints its path.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    from sparkllm.optimizer.jar import EXTENSION, build_jar

    jar = build_jar()
    print(jar)
    sys.stdout.flush()
    print(
        f"\nFor a session that is started elsewhere, with the same version of Spark:\n\n"
        f"  spark-submit --jars {jar} \\\n    --conf spark.sql.extensions={EXTENSION} job.py\n\n"
        "In job.py, sparkllm.register(spark, model=...) brings what is Python's. Without the two options, "
        "it\nloads the jar by itself.",
        file=sys.stderr,
    )
    return 0
