"""What a row must do, in every layer, for the catalogue to be right about it."""

from __future__ import annotations

from collections.abc import Mapping

from cataloguetools.measure import ALLOWED, Measurement
from cataloguetools.row import BROKEN, LOOPBACK, Row

REFUSED_LOOPBACK = ("connect 127.0.0.1: loopback",)  # all that the journal may hold of a row that needs loopback


def wrong(row: Row, found: Mapping[str, Measurement]) -> list[str]:
    """Return what is other than the rule says: nothing, for a row whose cells may be written."""
    return [f"{row.name}: {text}" for text in [*without_guard(row, found["none"]), *guarded(row, found)]]


def without_guard(row: Row, bare: Measurement) -> list[str]:
    """A dial that fails anyway shows nothing about a guard; and that one fails anyway has to be shown, too."""
    if row.apart == BROKEN:
        works = bare.name_dialled or bare.address_dialled or bare.steady
        if works or row.raises not in bare.told[ALLOWED]:
            return [f"without the guard it was to fail with {row.raises!r}: {bare}"]
    elif not (bare.asked and bare.name_dialled and bare.address_dialled and bare.steady):
        return [f"does not work here without the guard: {bare}"]
    elif row.apart == LOOPBACK and not bare.loopback:
        return [f"without the guard it dials no loopback: {bare}"]
    return []


def guarded(row: Row, found: Mapping[str, Measurement]) -> list[str]:
    """Compare the verdicts with the rule; a row that needs loopback is refused that, and says so in the journal."""
    texts = []
    for layer, measured in found.items():
        if layer == "none":
            continue
        if measured.verdict != row.rule(layer):
            texts.append(f"{layer}: {measured.verdict}, the rule says {row.rule(layer)}: {measured.told}")
        if row.apart == LOOPBACK and (measured.loopback or measured.journal != REFUSED_LOOPBACK):
            texts.append(f"{layer}: not refused for its loopback alone: {measured}")
    return texts
