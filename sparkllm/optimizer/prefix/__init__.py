"""What a prefix cache serves of prompts in a given order: exact counts, each proven equal to brute force by its tests.

    evaluator     unit                                   cache      stands for
    `cells`       length of whole cells (as `lengths`)   any size   what an order of rows and fields can be told by
    `characters`  characters                             any size   the measure of GGR's authors (arXiv 2403.05821)
    `tokens`      tokens                                 any size   an engine that caches single tokens
    `blocks`      tokens of whole blocks                 any size   vLLM with a KV cache that forgets nothing
    `lru_blocks`  tokens of whole blocks                 bounded    vLLM with the KV cache that there is

An order is `rows`, int64 [n], a permutation of the rows of `codes`, and `fields`, int16 [m] (one field order for all)
or [n, m], where row i of `fields` belongs to `rows[i]`. Null cells are no part of a row: prompts leave them out.

`served` says what all of them return, `groups` counts without building an order, `block_prefixes` counts while prompts
are being sent.
"""

from sparkllm.optimizer.prefix.block_prefixes import BlockPrefixes
from sparkllm.optimizer.prefix.cells import cells
from sparkllm.optimizer.prefix.characters import characters
from sparkllm.optimizer.prefix.groups import hit_bytes, prefix_hit_rate, refine
from sparkllm.optimizer.prefix.lru import lru_blocks
from sparkllm.optimizer.prefix.sequences import Sequences
from sparkllm.optimizer.prefix.served import Served
from sparkllm.optimizer.prefix.tokens import blocks, tokens

__all__ = [
    "BlockPrefixes", "Sequences", "Served", "blocks", "cells", "characters", "hit_bytes", "lru_blocks",
    "prefix_hit_rate", "refine", "tokens",
]  # fmt: skip
