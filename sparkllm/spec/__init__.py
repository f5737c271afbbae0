"""Speculative decoding whose draft length follows goodput (SmartSpec, arXiv 2406.14066). Nothing is here yet."""
