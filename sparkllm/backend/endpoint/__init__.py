"""Engines whose model is behind another server: any that speaks OpenAI's chat completions over HTTP."""
