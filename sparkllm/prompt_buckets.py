"""Buckets of a call's prompts: as many as were counted, of the tokens and prefix hits that a sample of them has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from sparkllm.backend.placement.workload import Bucket
from sparkllm.prompt_sample import PromptSample
from sparkllm.prompt_sizes import Sizes

__all__ = ["MOST", "Measured", "buckets"]

MOST = 12  # buckets of a call


@dataclass(frozen=True, eq=False)
class Measured:
    """Prompts of a sample, [k]: bytes of their fields, tokens, and tokens that the cache serves."""

    bytes: np.ndarray
    tokens: np.ndarray
    hits: np.ndarray

    @classmethod
    def of(cls, samples: Sequence[PromptSample]) -> Measured:
        """All of them."""
        parts = [(s.bytes, s.lengths, s.counts.predicted) for s in samples]
        return cls(*(np.concatenate(column).astype(float) for column in zip(*parts, strict=True)))

    @property
    def line(self) -> tuple[float, float]:
        """Tokens beside the fields, and for each byte of them: least squares, neither below 0."""
        size, tokens = self.bytes, self.tokens
        apart = size - size.mean()
        each = float(apart @ tokens / (apart @ apart)) if apart.any() else 0.0
        each = min(max(each, 0.0), float(tokens.mean() / max(size.mean(), 1.0)))
        return float(tokens.mean() - each * size.mean()), each


def buckets(call: str, sizes: Sizes, sample: Measured, answer: float) -> list[Bucket]:
    """At most `MOST`, by bytes; the last one takes what is larger too.

    A bucket has the mean tokens of its part of the sample, moved to the mean bytes that were counted; one without
    sampled prompts follows the line through all of them, with the cached tokens of the nearest bucket that has some.

    Args:
        call: what they are named for.
        sizes: of all prompts.
        sample: some of them.
        answer: output tokens of each.
    """
    if not len(sample.tokens) or not sizes.distinct.sum():
        return []
    base, each = sample.line
    classes = sizes.cut(MOST, base / each if each else 1.0)
    place = np.minimum(np.searchsorted(classes.most, sample.bytes), len(classes.most) - 1)
    seen = np.bincount(place, minlength=len(classes.most))
    means = [np.bincount(place, values, len(seen)) for values in (sample.bytes, sample.tokens, sample.hits)]
    size, tokens, hits = (mean / np.maximum(seen, 1) for mean in means)
    tokens = np.where(seen > 0, tokens + each * (classes.mean - size), base + each * classes.mean)
    there = np.flatnonzero(seen)
    near = there[np.abs(there[None, :] - np.arange(len(seen))[:, None]).argmin(axis=1)]
    tokens = np.maximum(tokens, 1.0)
    share = np.minimum(hits[near], tokens - 1) / tokens  # the last token is always computed
    most = [*map(float, classes.most[:-1]), inf]
    return [
        Bucket(float(tokens[i]), answer, float(classes.distinct[i]), float(share[i]), call, most[i])
        for i in range(len(seen))
    ]
