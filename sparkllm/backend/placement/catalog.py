"""The catalogue of GPU types: the built-in one, and what a user's own file adds and changes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sparkllm.backend.placement.catalog_entries import Entries
from sparkllm.backend.placement.gpu import GPU
from sparkllm.backend.placement.measured import MeasuredRate
from sparkllm.errors import ConfigError

__all__ = ["Catalog", "load"]


@dataclass(frozen=True)
class Catalog:
    """GPU types by name, and measured rates, which override the throughput model."""

    gpus: Mapping[str, GPU]
    measured: tuple[MeasuredRate, ...] = ()

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Types without a price: planned with only after a price has been given."""
        return tuple(name for name, gpu in self.gpus.items() if gpu.price is None)

    def named(self, names: Iterable[str]) -> tuple[GPU, ...]:
        """The types of these names.

        Raises:
            ConfigError: the catalogue has no such type, or knows no price for it.
        """
        found = []
        for name in names:
            if name not in self.gpus:
                raise ConfigError(f"no GPU type {name!r} in the catalogue; known: {', '.join(self.gpus)}")
            if self.gpus[name].price is None:
                raise ConfigError(
                    f"the catalogue knows no price of {name}, so no cost can be planned: add to a catalogue file of "
                    f'your own [gpu.{name}] with price = {{ usd_per_hour = ..., source = "...", date = "YYYY-MM-DD" }}'
                )
            found.append(self.gpus[name])
        return tuple(found)


def load(path: str | Path | None = None) -> Catalog:
    """The built-in catalogue; with `path`, as the user's own TOML file extends and overrides it, key by key.

    Raises:
        ConfigError: the file cannot be read, or an entry is wrong; names file, line, what is expected and found.
    """
    own = _read("gpus.toml", resources.files(__package__).joinpath("gpus.toml").read_text(encoding="utf-8"))
    files = [own] if path is None else [own, _read(str(path), _text(Path(path)))]
    merged: dict[str, dict[str, Any]] = {}
    gpus: dict[str, GPU] = {}
    for entries in files:
        for name, entry in entries.values.get("gpu", {}).items():
            merged[name] = _merged(merged.get(name, {}), entry)
            gpus[name] = entries.gpu(name, merged[name])
    return Catalog(gpus, tuple(rate for entries in reversed(files) for rate in entries.measured(tuple(gpus))))


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Key by key, the types of numbers too; a price is replaced as a whole, with its source and date."""
    tflops = {**old.get("tflops", {}), **new.get("tflops", {})}
    return {**old, **new, **({"tflops": tflops} if tflops else {})}


def _text(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a catalogue of GPU types as a TOML file, found {error}") from error


def _read(file: str, text: str) -> Entries:
    try:
        entries = Entries(file, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: expected TOML, found: {error}") from error
    entries.check()
    return entries
