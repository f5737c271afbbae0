"""What an engine tells the driver of its draft lengths: `additional_config["sparkllm"]` of vLLM's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sparkllm.spec.policy import Drafter
from sparkllm.spec.profile import Profile

__all__ = ["DriverOptions"]

_MATCHING: dict[str, Drafter] = {"ngram": "ngram", "ngram_gpu": "ngram", "suffix": "suffix"}


@dataclass(frozen=True)
class DriverOptions:
    """
    Attributes:
        drafter: by vLLM's method; whatever is no n-gram or suffix is a model.
        profile_prefix: how the names of the profile's requests begin, as `profiling` wants them; empty: none comes.
        profile: one measured before; then none is measured.
        summary: file for what was done, as `summary_file` writes it; empty: none.
        trace: file for a line for each step, as `trace` writes it; empty: none.
    """

    drafter: Drafter
    profile_prefix: str = ""
    profile: Profile | None = None
    summary: str = ""
    trace: str = ""

    @classmethod
    def of(cls, method: str, additional_config: Mapping[str, Any]) -> Self:
        """Of vLLM's speculative method and additional configuration; a profile is {"target": [..], "draft": [..]}."""
        given = dict(additional_config.get("sparkllm", {}))
        if raw := given.pop("profile", None):
            given["profile"] = Profile(*(tuple(map(tuple, raw.get(name, ()))) for name in ("target", "draft")))
        return cls(_MATCHING.get(method, "model"), **given)
