"""The planner: pure functions on dictionary codes that decide which prompts are sent, and in which order.

Rules run in this order; each can be switched off with `spark.sparkllm.optimizer.<rule>=false`:

1. `dedup`         first, so that statistics and order speak of the prompts that are sent, not of the rows
2. `order_fields`  before the rows: rows are sorted by the fields in this order
3. `order_rows`    last

`ordering/` finds the order of fields and rows: one field order for a query, by joint counts, or one for each row; parts
for several engines, and what no order can exceed.
`layout` is the cost model by which the Catalyst side puts the data before the instruction where several calls share it.
`catalyst/` holds the rules that run inside Spark's own optimizer, `jar` compiles them.
"""
