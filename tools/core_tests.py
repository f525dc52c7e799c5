"""Build and run the C tests of `src/core`, once as it ships and once under ASan and UBSan.

Each `tests/core/test_*.c` is a cmocka program of its own, linked with all of `src/core`. Objects are kept by a hash of
what they were made from. `python -m tools.core_tests [name ...]` runs some of them by hand.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from tools.project import ROOT, STATE, Problem, digest_of, environment_variables
from tools.steps import Steps, logged, side_by_side, tail

# As in setup.py, and stricter: no CPython idiom is excused here.
WARNINGS = """-Wall -Wextra -Wpedantic -Werror -Wconversion -Wformat=2 -Wimplicit-fallthrough -Wmissing-prototypes
    -Wold-style-definition -Wpointer-arith -Wshadow -Wstrict-prototypes -Wundef -Wvla -Wwrite-strings""".split()
COMMON = ["-std=c11", "-D_GNU_SOURCE=1", "-pthread", "-g", "-UNDEBUG", "-Isrc", "-Itests/core"]
MODES = {
    "plain": ["-O2", "-fstack-protector-strong", "-Wp,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=3"],
    "sanitized": ["-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all", "-fsanitize=address,undefined"],
}
SANITIZER = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def compiler() -> str:
    """Return the C compiler: CC where the person sets it."""
    return os.environ.get("CC", "gcc")


def compile_object(source: Path, mode: str, headers: str) -> Path:
    """Return the object of a source, compiled unless it is there already."""
    name = source.relative_to(ROOT)
    flags = MODES[mode]
    key = digest_of([str(name)], headers, compiler(), *COMMON, *WARNINGS, *flags)
    target = STATE / "core" / f"{source.stem}-{mode}-{key}.o"
    if not target.exists():
        for old in target.parent.glob(f"{source.stem}-{mode}-*"):
            old.unlink()
        # cmocka is older than these warnings: its macros convert as they please.
        warnings = [*WARNINGS, "-Wno-conversion"] if source.stem.startswith("test_") else WARNINGS
        partly = target.with_suffix(".partly")
        code, output = logged(f"cc-{target.stem}", [compiler(), *COMMON, *warnings, *flags, "-c", name, "-o", partly])
        if code:
            raise Problem(f"{tail(output)}\n{name} does not compile")
        partly.rename(target)
    return target


def build(mode: str, tests: list[Path]) -> list[Path]:
    """Return the test programs of a mode, built."""
    flags = MODES[mode]
    headers = digest_of(str(path.relative_to(ROOT)) for path in sorted((ROOT / "src").rglob("*.h")))
    headers += digest_of(str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests/core").glob("*.h")))
    (STATE / "core").mkdir(parents=True, exist_ok=True)
    sources = sorted((ROOT / "src/core").glob("*.c"))
    objects = side_by_side([partial(compile_object, source, mode, headers) for source in [*sources, *tests]])
    core, mains = objects[: len(sources)], objects[len(sources) :]
    programs = []
    for test, main in zip(tests, mains):
        program = STATE / "core" / f"{test.stem}-{mode}"
        code, output = logged(
            f"link-{program.name}", [compiler(), *COMMON, *flags, main, *core, "-lcmocka", "-o", program]
        )
        if code:
            raise Problem(f"{tail(output)}\n{program.name} does not link")
        programs.append(program)
    return programs


def core_tests(steps: Steps, names: list[str] | None = None) -> None:
    """Build and run the C tests as steps; without `tests/core` there is nothing to do."""
    tests = sorted((ROOT / "tests/core").glob("test_*.c"))
    tests = [test for test in tests if not names or test.stem in names]
    for mode in MODES if tests else ():
        programs: list[Path] = []

        def built(mode: str = mode, programs: list[Path] = programs) -> str:
            programs.extend(build(mode, tests))
            return ""

        if steps.check(f"C tests, {mode}: build", built):
            for program in programs:
                steps.run(
                    f"C tests, {mode}: {program.stem}", [program], variables={**environment_variables(), **SANITIZER}
                )


if __name__ == "__main__":
    report = Steps()
    core_tests(report, sys.argv[1:])
    print(report.table())
    sys.exit(not report.passed)
