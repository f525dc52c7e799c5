"""Which functions a shared object takes from others: the undefined names of its ELF dynamic symbol table.

Enough of the format (elf(5), System V gABI chapter 4) to read that, and nothing else. A file that is not ELF, or is cut
short, has none.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

SHT_DYNSYM = 11
SYMBOLS_MAX = 1_000_000  # a broken header must not keep us for hours

Bytes = bytes | mmap.mmap


class Layout(NamedTuple):
    """Where the fields are, for one word size; struct(3) codes without the byte order."""

    header: str  # behind e_ident: type, machine, version, entry, phoff, shoff, flags, six half words
    section: str  # name, type, flags, addr, offset, size, link, info, addralign, entsize
    symbol: str
    name_at: int
    index_at: int


LAYOUTS = {
    1: Layout("HHIIIIIHHHHHH", "IIIIIIIIII", "IIIBBH", 0, 5),
    2: Layout("HHIQQQIHHHHHH", "IIQQQQIIQQ", "IBBHQQ", 0, 3),
}


def undefined(path: str | PathLike[str]) -> frozenset[str]:
    """Return the names that the file imports. Raises OSError where it cannot be read."""
    with Path(path).open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return frozenset(_names(data))
        except (ValueError, struct.error, IndexError, OverflowError):  # an empty file; cut short; nonsense
            return frozenset()


def _names(data: Bytes) -> Iterator[str]:
    if data[:4] != b"\x7fELF" or data[4] not in LAYOUTS:
        return
    layout, order = LAYOUTS[data[4]], ">" if data[5] == 2 else "<"
    header = struct.unpack_from(order + layout.header, data, 16)
    offset, entry_size, count = header[5], header[10], header[11]
    sections = [struct.unpack_from(order + layout.section, data, offset + i * entry_size) for i in range(count)]
    symbol = struct.Struct(order + layout.symbol)
    for section in sections:
        if section[1] == SHT_DYNSYM:
            names = sections[section[6]][4]
            for at in range(section[4], section[4] + min(section[5], SYMBOLS_MAX * symbol.size), symbol.size):
                fields = symbol.unpack_from(data, at)
                if fields[layout.index_at] == 0 and fields[layout.name_at]:
                    start = names + fields[layout.name_at]
                    yield data[start : data.find(b"\0", start)].decode("ascii", "replace")
