"""The engine: one vLLM server process per executor host, shared by every Spark Python worker of an application.

`client` is what a Spark Python worker imports; it is light. `server` and `vllm_engine` live in the engine's processes.
"""
