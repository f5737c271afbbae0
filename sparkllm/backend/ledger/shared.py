"""Answers that other clusters read: Parquet files below a shared path, written once and never changed.

<path>/answers-<format>/<fingerprint of the model>/<random name>.parquet

A file is written under a name that no reader looks at, and renamed when it is whole.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from sparkllm.backend.ledger.store import FORMAT, Kept
from sparkllm.errors import LedgerError

__all__ = ["SharedAnswers"]

_SCHEMA = pa.schema(
    [("key", pa.binary()), ("text", pa.string()), ("field_order", pa.string()), ("at", pa.int64())],
    metadata={"sparkllm.ledger": str(FORMAT)},
)
_END = ".parquet"


class SharedAnswers:
    """The files of one model.

    Args:
        path: a folder that every host sees (NFS, a mounted object store), or a URI that Arrow knows, such as
            `s3://bucket/ledger`.
        fingerprint: names the model's folder.
    """

    def __init__(self, path: str, fingerprint: str) -> None:
        if "://" in path:
            self._files, root = fs.FileSystem.from_uri(path)
        else:
            self._files, root = fs.LocalFileSystem(), str(Path(path).expanduser().absolute())
        self._folder = f"{root.rstrip('/')}/answers-{FORMAT}/{fingerprint}"

    def append(self, answers: list[Kept]) -> str:
        """Write a file of its own; returns its name."""
        name = f"{int(time.time())}-{secrets.token_hex(8)}{_END}"
        part = f"{self._folder}/.{name}.part"
        columns = [
            pa.array(column, kind) for column, kind in zip(zip(*answers, strict=True), _SCHEMA.types, strict=True)
        ]
        self._files.create_dir(self._folder, recursive=True)
        with self._files.open_output_stream(part) as out:
            pq.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA), out, write_page_checksum=True)
        self._files.move(part, f"{self._folder}/{name}")
        return name

    def names(self) -> set[str]:
        """The files that are there, whole ones only."""
        found = self._files.get_file_info(fs.FileSelector(self._folder, allow_not_found=True))
        return {one.base_name for one in found if one.base_name.endswith(_END) and not one.base_name.startswith(".")}

    def read(self, name: str) -> list[Kept]:
        """The answers of a file.

        Raises:
            LedgerError: it is not of this format, or broken.
        """
        path = f"{self._folder}/{name}"
        try:
            with self._files.open_input_file(path) as file:
                table = pq.read_table(file, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise LedgerError(f"expected a file of answers at {path}, found: {error}") from error
        kind = (table.schema.metadata or {}).get(b"sparkllm.ledger")
        if not table.schema.equals(_SCHEMA) or kind != str(FORMAT).encode():
            raise LedgerError(f"expected answers of format {FORMAT} in {path}, found {table.schema}")
        columns = (table.column(field.name).to_pylist() for field in _SCHEMA)
        return [Kept(*row) for row in zip(*columns, strict=True)]
