"""The planner: pure functions that decide which prompts are sent, and in which order; they need no Spark.

    order(table, mode, budget)  -> Ordering    in which order rows and fields share the longest prefixes; undoable
    ranges(ordering, table, n)  -> cuts        contiguous parts of about the same length, one for each of n engines
    upper_bounds(table)         -> Bounds      what no order can exceed
    prefix                                     evaluators of what a cache serves: characters, cells, tokens, blocks

>>> import pyarrow as pa
>>> table = pa.table({"id": ["1", "2", "3"], "text": ["good beer", "bad beer", "good beer"]})
>>> found = order(table)
>>> found.fields_of(0), found.apply(table)["text"].to_pylist()
(('text', 'id'), ['bad beer', 'good beer', 'good beer'])
>>> print(f"{100 * found.hit_rate:.1f} of at most {100 * upper_bounds(table).hit_rate:.1f} %")
31.0 of at most 31.0 %

In a query these rules run in this order; each can be switched off with `spark.sparkllm.optimizer.<rule>=false`:

1. `dedup`         first, so that statistics and order speak of the prompts that are sent, not of the rows
2. `order_fields`  before the rows: rows are sorted by the fields in this order; or one for each row
3. `order_rows`    last

`layout` is the cost model by which the Catalyst side puts the data before the instruction where several calls share it.
`catalyst/` holds the rules that run inside Spark's own optimizer, `jar` compiles them.
"""

from sparkllm.optimizer import prefix
from sparkllm.optimizer.ordering import Bounds, Ordering, order, ranges, upper_bounds, warm_up

__all__ = ["Bounds", "Ordering", "order", "prefix", "ranges", "upper_bounds", "warm_up"]
