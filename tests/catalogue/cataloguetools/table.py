"""All rows of the catalogue."""

from __future__ import annotations

from cataloguetools import rows_http, rows_loops, rows_services, rows_stdlib

ROWS = [*rows_stdlib.ROWS, *rows_http.ROWS, *rows_loops.ROWS, *rows_services.ROWS]
assert len({row.name for row in ROWS}) == len(ROWS), "two rows have one name"
