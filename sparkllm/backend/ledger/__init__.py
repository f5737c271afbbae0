"""The answer ledger: what a model has answered is kept on the executor host, and never asked or paid for again.

`settings` and `exchange` are what a Spark Python worker imports; the rest lives in the engine's server.
"""
