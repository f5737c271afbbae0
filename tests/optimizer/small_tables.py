"""Three small tables with NULLs and duplicates."""

from typing import Any

__all__ = ["COLUMNS", "ROWS", "TABLES", "UNIQUE"]

# name, type ("int" or "text")
COLUMNS = {
    "reviews": {"id": "int", "product": "text", "review": "text", "stars": "int"},
    "shops": {"sid": "int", "product": "text", "town": "text"},
    "notes": {"nid": "int", "note": "text"},
}
UNIQUE = {"reviews": "id"}
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "reviews": [
        (0, "lamp", "good", 3), (1, "lamp", "bad", 1), (2, "desk", None, None), (3, "desk", "good", 5),
        (4, None, "ok", 2), (5, "lamp", "good", 3), (6, "chair", "meh", None), (7, "desk", "bad", 1),
        (8, None, None, 4), (9, "chair", "ok", 2),
    ],
    "shops": [
        (1, "lamp", "good"), (2, "chair", None), (3, "desk", "ok"), (3, "desk", "ok"), (None, "lamp", "bad"),
        (4, "lamp", "ok"), (5, None, "bad"),
    ],
    "notes": [(0, "good"), (1, None), (1, "bad"), (2, "bad"), (3, "ok"), (5, "good"), (None, "ok")],
}  # fmt: skip
TABLES = {name: [dict(zip(COLUMNS[name], row, strict=True)) for row in rows] for name, rows in ROWS.items()}
