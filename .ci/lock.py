"""From pip's report to requirements with hashes: see `make lock`."""

from __future__ import annotations

import json
import sys

HEAD = """\
# The files that `make install` takes on x86-64 Linux with Python 3.11, by their SHA-256; any other file is refused.
# Made by `make lock` from constraints.txt. Without torch: its CPU build comes from PyTorch's own index, or from a wheel
# of this machine, whose hash is another.
"""


def main() -> None:
    """Read the report on standard input, write requirements to standard output."""
    found = [(part["metadata"], part["download_info"]) for part in json.load(sys.stdin)["install"]]
    print(HEAD, end="")
    for metadata, file in sorted(found, key=lambda part: part[0]["name"].lower()):
        print(f"{metadata['name']}=={metadata['version']} --hash=sha256:{file['archive_info']['hashes']['sha256']}")


if __name__ == "__main__":
    main()
