"""What pyproject.toml cannot declare: which sources there are, and which hardening flags this compiler knows."""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

LINUX = sys.platform == "linux"
SANITIZE = os.environ.get("EGRESSGUARD_SANITIZE", "")  # for example "address,undefined"
# The debugging information names no folder of this machine: a wheel built elsewhere is the same file.
PLACE = f"-ffile-prefix-map={Path.cwd()}=."
COMMON = ["-std=c11", "-D_GNU_SOURCE=1", "-fvisibility=hidden", "-pthread", PLACE]
FORTIFY = "-Wp,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=3"  # -Wp, as distributions predefine a weaker level that way
HARDENED = ["-O2", "-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection=full", FORTIFY]
SANITIZED = ["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all", f"-fsanitize={SANITIZE}"]
LINK = ["-pthread", "-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack"] if LINUX else ["-pthread"]
# Errors for this project's own builds, never for users: a newer compiler must not break their install.
STRICT = """-Wall -Wextra -Werror -Wconversion -Wformat=2 -Wimplicit-fallthrough -Wmissing-prototypes -Wnull-dereference
    -Wold-style-definition -Wpointer-arith -Wshadow -Wstrict-prototypes -Wundef -Wvla""".split()


def known(compiler: list[str], flag: str) -> bool:
    """Whether the compiler takes the flag without a word (`-fcf-protection` exists on x86 alone, for one)."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("int probe(void);\nint probe(void) { return 0; }\n")
        command = [*compiler, "-Werror", flag, "-c", str(source), "-o", str(source.with_suffix(".o"))]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class BuildExt(build_ext):
    """Adds the flags once the compiler is known."""

    def build_extension(self, ext: Extension) -> None:
        """Probe, then build."""
        wanted = COMMON + (SANITIZED if SANITIZE else HARDENED)
        compiler = [*self.compiler.compiler_so, "-O2"]  # fortification warns without optimisation
        ext.extra_compile_args = [flag for flag in wanted if known(compiler, flag)]
        ext.extra_link_args = [*LINK, f"-fsanitize={SANITIZE}"] if SANITIZE else LINK
        if os.environ.get("EGRESSGUARD_STRICT") == "1":  # CPython's own headers are not ours to judge: -isystem
            ext.extra_compile_args += ["-isystem", sysconfig.get_path("include"), *STRICT]
        super().build_extension(ext)


folders = ["src/core", "src/python"] + (["src/linux"] if LINUX else [])
sources = ["src/_egressguard.c"] + [str(path) for folder in folders for path in sorted(Path(folder).glob("*.c"))]
headers = sorted(map(str, Path("src").rglob("*.h")))
extension = Extension("egressguard._egressguard", sources, include_dirs=["src"], depends=headers)
setup(ext_modules=[extension], cmdclass={"build_ext": BuildExt})
