"""The command `sparkllm`: `sparkllm sql "SELECT llm(...) FROM t" --table t=t.csv`, explain, place, ledger, jar."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

from sparkllm import __version__
from sparkllm.command_explain import add_explain
from sparkllm.command_jar import add_jar
from sparkllm.command_ledger import add_ledger
from sparkllm.command_place import add_place
from sparkllm.command_sql import add_sql
from sparkllm.errors import SparkLLMError

__all__ = ["main"]

WRONG = 2  # as argparse ends for a wrong option
_RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception): ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0: done. 1: there is no placement within these limits. 2: something is wrong, said in one line. 130: Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="sparkllm", description="LLM calls as Spark SQL, on your own GPUs.")
    parser.add_argument("--version", action="version", version=f"sparkllm {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="<command>", required=True)
    for add in (add_sql, add_explain, add_place, add_ledger, add_jar):
        add(commands)
    args = parser.parse_args(arguments)
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # a reader such as `head` has what it wants
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (SparkLLMError, OSError) as error:
        return _wrong(error)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not _of_spark(error):
            raise
        return _wrong(error)


def _wrong(error: Exception) -> int:
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", []))
    print(f"sparkllm: {_said(str(error)) or type(error).__name__}{notes}", file=sys.stderr)
    return WRONG


def _said(text: str) -> str:
    """The line that matters: of a worker's traceback its error, of a JVM's the exception, else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)] if "Traceback (most recent call last)" in text else []
    thrown = [line.removeprefix(": ") for line in lines[1:] if line.startswith(": ")]
    return (raised or thrown or lines or [""])[0]


def _of_spark(error: Exception) -> bool:
    """Of the query or of its tables; pyspark is not imported to tell."""
    return any(cls.__name__ in ("PySparkException", "Py4JJavaError") for cls in type(error).__mro__)


if __name__ == "__main__":
    sys.exit(main())
