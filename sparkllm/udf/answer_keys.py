"""The key of an answer: a digest of all that it depends on, the same however rows and fields are ordered.

In it: the call (instruction, labels, names of its fields, schema, data first or last), the version of how prompts are
written, the model's fingerprint, how answers are sampled, and the fields as (name, value) pairs in the order of the
call. Not in it: the order in which the fields stand in the prompt, which the optimizer chooses anew for each query.
"""

from __future__ import annotations

import json
from hashlib import blake2b

from sparkllm.backend.engine import Sampling
from sparkllm.backend.ledger.exchange import KEY_BYTES
from sparkllm.calls import LLMCall
from sparkllm.optimizer.dedup import digests
from sparkllm.optimizer.encode import Encoded
from sparkllm.udf.prompt import VERSION

__all__ = ["answer_keys", "question"]


def question(call: LLMCall, fingerprint: str, sampling: Sampling) -> bytes:
    """The part of the key that all rows of a call share.

    >>> one, other = (LLMCall(None, "Is it good?", ("a", "b"), data_first=data_first) for data_first in (False, True))
    >>> question(one, "f", Sampling()) == question(one, "f", Sampling()) != question(other, "f", Sampling())
    True
    """
    asked = [call.instruction, call.form, call.fields, call.choices, call.schema, call.data_first]
    asked += ["group"] if call.group else []
    parts = [VERSION, fingerprint, asked, json.loads(sampling.to_json())]
    return blake2b(json.dumps(parts).encode(), digest_size=KEY_BYTES).digest()


def answer_keys(asked: bytes, table: Encoded) -> list[bytes]:
    """16 bytes for each row of the call's fields.

    >>> from sparkllm.optimizer.encode import encode
    >>> import pyarrow as pa
    >>> same = pa.array(["x", "x"])
    >>> one, other = (answer_keys(b"q", encode([pa.array(v), same], 2)) for v in (["a", "b"], ["b", "a"]))
    >>> one == other[::-1], len(set(one))
    (True, 2)
    """
    return [blake2b(asked + row, digest_size=KEY_BYTES).digest() for row in digests(table)]
