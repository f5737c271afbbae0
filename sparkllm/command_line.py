"""The command `sparkllm`: `sparkllm place query.sql --model org/model --deadline 2h`, `sparkllm ledger stats`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sparkllm import __version__
from sparkllm.command_ledger import add_ledger
from sparkllm.command_place import add_place
from sparkllm.errors import SparkLLMError

__all__ = ["main"]

WRONG = 2  # as argparse ends for a wrong option


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0: done. 1: there is no placement within these limits. 2: something is wrong, said in one line.
    """
    parser = argparse.ArgumentParser(prog="sparkllm", description="LLM calls as Spark SQL, on your own GPUs.")
    parser.add_argument("--version", action="version", version=f"sparkllm {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="<command>", required=True)
    add_place(commands)
    add_ledger(commands)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except (SparkLLMError, OSError) as error:
        return _wrong(error)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not _of_spark(error):
            raise
        return _wrong(error)


def _wrong(error: Exception) -> int:
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    print(f"sparkllm: {text}", file=sys.stderr)
    return WRONG


def _of_spark(error: Exception) -> bool:
    """Of the query or of its tables; pyspark is not imported to tell."""
    return any(cls.__name__ == "PySparkException" for cls in type(error).__mro__)


if __name__ == "__main__":
    sys.exit(main())
