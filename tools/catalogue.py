"""`./dev catalogue`: measure every client library on the wire and write the catalogue in docs/compatibility.md.

Needs the laboratory of tests/lab (root, or user namespaces). With words, only the rows that have one in their names.
"""

from __future__ import annotations

import runpy
import sys

from tools.project import ROOT

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "tests" / "catalogue"), str(ROOT / "tests" / "lab")]
    runpy.run_module("cataloguetools.run", run_name="__main__", alter_sys=True)
