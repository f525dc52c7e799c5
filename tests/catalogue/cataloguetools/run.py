"""Measure the catalogue and write its section: `python -m cataloguetools.run [--check] [--page FILE] [WORD ...]`.

Words pick rows by their names; a part of the catalogue is only printed, never written. `--check` writes nothing.
Exits with 1 where a row is not what the rule says (rules.py), or does not run.
"""

from __future__ import annotations

import argparse
import queue
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cataloguetools.measure import LAYERS, KernelLayerMissing, Measurement, measure
from cataloguetools.page import put_into, section, told
from cataloguetools.row import Row
from cataloguetools.rules import without_guard, wrong
from cataloguetools.table import ROWS

from labtools.lab import Lab, find_way

PAGE = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"
AT_ONCE = 2


class Catalogue:
    """The laboratories, and what was found out so far."""

    def __init__(self) -> None:
        self.laboratories: queue.SimpleQueue[Lab] = queue.SimpleQueue()
        self.all = [Lab(find_way()) for _ in range(AT_ONCE)]
        for one in self.all:
            self.laboratories.put(one)
        self.no_kernel = ""
        self.wrong: list[str] = []

    def row(self, row: Row) -> tuple[Row, dict[str, Measurement], str]:
        """Measure one row under every layer."""
        why = row.missing()
        if why:
            return row, {}, why
        laboratory, started = self.laboratories.get(), time.monotonic()
        try:
            found = self.layers(laboratory, row)
        except (AssertionError, TypeError) as problem:  # the process of a row died: the others are measured still
            self.wrong.append(f"{row.name}: {problem}")
            return row, {}, "its process ended without a report"
        finally:
            self.laboratories.put(laboratory)
        self.wrong += wrong(row, found)
        if without_guard(row, found["none"]):
            return row, {}, f"it does not do here, without the guard, what it should: {told(found['none'])}"
        verdicts = {layer: found[layer].verdict for layer in found if layer != "none"}
        print(f"{row.name:38} {time.monotonic() - started:5.1f} s  {verdicts}", flush=True)
        return row, found, ""

    def layers(self, laboratory: Lab, row: Row) -> dict[str, Measurement]:
        """Measure without the guard, with the Python layer, and with both where there is a kernel layer."""
        found = {}
        for layer in LAYERS:
            if layer == "kernel" and self.no_kernel:
                continue
            try:
                found[layer] = measure(laboratory, row, layer)
            except KernelLayerMissing as reason:
                self.no_kernel = str(reason)
        return found

    def close(self) -> None:
        """End the laboratories."""
        for one in self.all:
            one.close()


def main() -> int:
    """Measure, write, and say what is wrong."""
    parser = argparse.ArgumentParser(prog="./dev catalogue", description="measure the catalogue of client libraries")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose section is written")
    parser.add_argument("words", nargs="*", help="measure the rows whose name has one of these words")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if not arguments.words or any(word in row.name for word in arguments.words)]
    catalogue = Catalogue()
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(catalogue.row, rows))
    finally:
        catalogue.close()
    text = section(results, catalogue.no_kernel)
    if arguments.words:
        print(text)
    elif not arguments.check:
        put_into(arguments.page, text)
    measured = sum(not why for _, _, why in results)
    for line in catalogue.wrong:
        print(f"wrong: {line}", file=sys.stderr)
    print(
        f"\n{measured} rows measured, {len(results) - measured} not, {len(catalogue.wrong)} things other than the rule says"
    )
    return 1 if catalogue.wrong or not measured else 0


if __name__ == "__main__":
    sys.exit(main())
