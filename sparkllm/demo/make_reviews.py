"""Make the shipped table from the hand-written pieces of reviews.toml: `python -m sparkllm.demo.make_reviews OUT`."""

from __future__ import annotations

import argparse
import csv
import random
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

__all__ = ["HEADER", "main", "rows"]

HEADER = ("id", "product", "description", "review", "stars")
SEED = 11
SHARED, TWO_PIECES, MISSING = 9, 9, 1  # per product, beside its own reviews


def rows() -> list[tuple[str, ...]]:
    """Rows of HEADER, in an order like that of a shop's log: products mixed, ids rising with gaps."""
    rng = random.Random(SEED)
    pieces = tomllib.loads(resources.files("sparkllm.demo").joinpath("reviews.toml").read_text(encoding="utf-8"))
    odd = list(pieces["odd"]["reviews"])
    table: list[tuple[str, ...]] = []
    for product in pieces["product"]:
        # a customer who sends the form twice: the first review of each product is there two times
        reviews = [*product["reviews"], product["reviews"][0], *rng.sample(pieces["shared"], SHARED)]
        reviews += [_two_pieces(rng, pieces) for _ in range(TWO_PIECES)]
        reviews += [odd.pop(0) for _ in range(2) if odd]
        pairs = [tuple(review.split(" ", 1)) for review in reviews] + [(rng.choice("12345"), "")] * MISSING
        table += [(product["name"], product["description"], review, stars) for stars, review in pairs]
    rng.shuffle(table)
    ids = sorted(rng.sample(range(1001, 1601), len(table)))
    return [(str(number), *row) for number, row in zip(ids, table, strict=True)]


def _two_pieces(rng: random.Random, pieces: dict[str, Any]) -> str:
    """A short review of one sentiment and a remark that goes with it."""
    stars, review = rng.choice(pieces["shared"]).split(" ", 1)
    sentiment = {"1": "negative", "2": "negative", "3": "neutral"}.get(stars, "positive")
    return f"{stars} {review} {rng.choice(pieces[sentiment])}"


def main() -> None:
    """Write OUT as RFC 4180 csv: quotes doubled; an empty field is a missing review."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    with parser.parse_args().out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(rows())


if __name__ == "__main__":
    main()
