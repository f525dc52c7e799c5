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


def compile_object(source: Path, mode: str, included: str) -> Path:
    """Return the object of a source, compiled unless it is there already."""
    name = source.relative_to(ROOT)
    flags = MODES[mode]
    key = digest_of([str(name)], included, compiler(), *COMMON, *WARNINGS, *flags)
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


def headers() -> str:
    """Return a hash over every header: whatever includes which, a change rebuilds the objects."""
    found = [*(ROOT / "src").rglob("*.h"), *(ROOT / "tests/core").glob("*.h")]
    return digest_of(str(path.relative_to(ROOT)) for path in sorted(found))


def link(test: Path, core: list[Path], mode: str) -> Path:
    """Return the program of a test, built."""
    program = STATE / "core" / f"{test.stem}-{mode}"
    main = compile_object(test, mode, headers())
    parts = [compiler(), *COMMON, *MODES[mode], main, *core, "-lcmocka", "-o", program]
    code, output = logged(f"link-{program.name}", parts)
    if code:
        raise Problem(f"{tail(output)}\n{program.name} does not link")
    return program


def run_test(steps: Steps, test: Path, core: list[Path], mode: str) -> None:
    """Build and run one test; one that does not build leaves the others alone."""
    name = f"C test, {mode}: {test.stem}"
    try:
        program = link(test, core, mode)
    except Problem as problem:
        steps.check(name, partial(str, problem))
    else:
        steps.run(name, [program], variables={**environment_variables(), **SANITIZER})


def core_tests(steps: Steps, names: list[str] | None = None) -> None:
    """Build and run the C tests as steps; without `tests/core` there is nothing to do."""
    tests = sorted((ROOT / "tests/core").glob("test_*.c"))
    tests = [test for test in tests if not names or test.stem in names]
    sources = sorted((ROOT / "src/core").glob("*.c"))
    (STATE / "core").mkdir(parents=True, exist_ok=True)
    for mode in MODES if tests else ():
        try:
            core = side_by_side([partial(compile_object, source, mode, headers()) for source in sources])
        except Problem as problem:
            steps.check(f"C tests, {mode}: src/core", partial(str, problem))
        else:
            side_by_side([partial(run_test, steps, test, core, mode) for test in tests])


if __name__ == "__main__":
    report = Steps()
    core_tests(report, sys.argv[1:])
    print(report.table())
    sys.exit(not report.passed)
