"""What Spark runs: the `llm` function (functions), the rendering of prompts (prompt), the core loop (arrow)."""
