"""A small model, a small table and a program that asks the one about the other: `python -m sparkllm.demo`."""
