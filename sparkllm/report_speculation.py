"""The report's lines about speculative decoding."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["speculation_lines"]


def speculation_lines(paid: Mapping[str, int]) -> list[tuple[str, str]]:
    """What the engines' draft lengths were and what came of them; nothing where no engine speculates.

    >>> counts = {"steps": 40, "without_drafts": 12, "decodes": 100, "drafted": 210, "accepted": 90, "rejected": 30}
    >>> counts |= {"seconds_us": 500_000, "predicted_us": 515_000, "fallbacks": 0}
    >>> speculation_lines({f"speculation_{name}": n for name, n in counts.items()})  # doctest: +NORMALIZE_WHITESPACE
    [('speculation', '1.90 tokens a request and step: 2.10 drafted, acceptance 75.0 %'),
     ('  steps', '40 that decode, 12 of them without drafts; predicted time 1.03 of measured')]
    """
    counts = {name.removeprefix("speculation_"): n for name, n in paid.items() if name.startswith("speculation_")}
    if not counts:
        return []
    failed = [("speculation", "the choice of draft lengths failed, vLLM goes on without drafts; see the engine's log")]
    if not counts["steps"]:
        return failed if counts["fallbacks"] else [("speculation", "on; no step decoded")]
    decodes, tried = counts["decodes"], counts["accepted"] + counts["rejected"]
    tokens = (
        f"{1 + counts['accepted'] / decodes:.2f} tokens a request and step: {counts['drafted'] / decodes:.2f} drafted"
    )
    acceptance = f", acceptance {100 * counts['accepted'] / tried:.1f} %" if tried else ""
    times = f"; predicted time {counts['predicted_us'] / counts['seconds_us']:.2f} of measured" if tried else ""
    steps = f"{counts['steps']:,} that decode, {counts['without_drafts']:,} of them without drafts{times}"
    return [("speculation", tokens + acceptance), ("  steps", steps), *(failed if counts["fallbacks"] else [])]
