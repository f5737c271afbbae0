"""What a prefix cache serves, counted the slow and obvious way."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np


def walk(trie: dict, steps: Sequence[Hashable]) -> int:
    """How many of the steps earlier walks through this trie have taken already; then they are in it too."""
    known, node, inside = 0, trie, True
    for step in steps:
        inside = inside and step in node
        known += inside
        node = node.setdefault(step, {})
    return known


def trie_hits(sequences: Sequence[Sequence[Hashable]]) -> list[int]:
    """The longest prefix that each sequence shares with an earlier one."""
    trie: dict = {}
    return [walk(trie, sequence) for sequence in sequences]


def sent_cells(codes: np.ndarray, rows: np.ndarray, fields: np.ndarray) -> list[list[tuple[int, int]]]:
    """The (column, code) cells of each row as they are sent, nulls left out."""
    every = []
    for i, row in enumerate(rows):
        order = fields[i] if fields.ndim == 2 else fields
        every.append([(int(c), int(codes[row, c])) for c in order if codes[row, c] != 0])
    return every


@dataclass(eq=False)
class Block:
    """Room for some tokens; `contents` is all that stands up to their end, once a whole block is there."""

    contents: tuple | None = None
    users: int = 0


@dataclass
class NaiveCache:
    """vLLM's pool of blocks as its source describes it, with lists that are searched from end to end."""

    block_size: int
    capacity: int
    free: list[Block] = field(default_factory=list)
    cached: list[Block] = field(default_factory=list)  # in the order in which they were filled
    running: list[list[Block]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free = [Block() for _ in range(self.capacity)]

    def serve(self, name: int, prompt: Sequence[int], answer_tokens: int, concurrency: int) -> int:
        """Run one prompt; tokens that were found."""
        while len(self.running) >= concurrency:
            self.finish()
        prompt = tuple(prompt)
        text = prompt + tuple((name, i) for i in range(answer_tokens - 1))  # an answer is like no other
        pieces = [text[: i + self.block_size] for i in range(0, len(text), self.block_size)]
        while True:
            found = self.find(prompt)
            room = [block for block in self.free if block not in found]
            if len(pieces) - len(found) <= len(room):
                break
            self.finish()
        blocks = found + room[: len(pieces) - len(found)]
        self.free = [block for block in self.free if block not in blocks]
        for i, block in enumerate(blocks):
            block.users += 1
            if i >= len(found):
                self.fill(block, pieces[i])
        self.running.append(blocks)
        return len(found) * self.block_size

    def find(self, prompt: tuple) -> list[Block]:
        found: list[Block] = []
        for end in range(self.block_size, len(prompt), self.block_size):
            same = [block for block in self.cached if block.contents == prompt[:end]]
            if not same:
                break
            found.append(same[0])
        return found

    def fill(self, block: Block, contents: tuple) -> None:
        if block in self.cached:
            self.cached.remove(block)
        whole = len(contents) % self.block_size == 0
        block.contents = contents if whole else None
        if whole:
            self.cached.append(block)

    def finish(self) -> None:
        for block in reversed(self.running.pop(0)):
            block.users -= 1
            if block.users == 0:
                self.free.insert(len(self.free) if block.contents else 0, block)


def lru_hits(
    prompts: Sequence[Sequence[int]], block_size: int, capacity: int, concurrency: int, answer_tokens: int
) -> list[int]:
    """Tokens that a bounded cache serves of each prompt."""
    cache = NaiveCache(block_size, capacity)
    return [cache.serve(i, prompt, answer_tokens, concurrency) for i, prompt in enumerate(prompts)]
