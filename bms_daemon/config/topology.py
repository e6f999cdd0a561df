"""Power paths by name: which lines each one has, and whether it can block one direction alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topology:
    """``lines``: outputs beside "main" that it needs; no other path may have them. ``directions``: see above."""

    lines: frozenset[str] = frozenset()
    directions: bool = False

    @property
    def precharges(self) -> bool:
        return "precharge" in self.lines

    @property
    def breaks_twice(self) -> bool:
        """A main contactor in either pole: one that welds leaves the other to open."""
        return "main_negative" in self.lines


TOPOLOGIES: dict[str, Topology] = {
    "main": Topology(),
    "main_precharge": Topology(frozenset({"precharge"})),
    "two_mains_precharge": Topology(frozenset({"precharge", "main_negative"})),
    "fets": Topology(directions=True),
}
LINES = frozenset().union(*(topology.lines for topology in TOPOLOGIES.values()))
"""Outputs that belong to some paths and not to others."""
COILS = ("main", "main_negative", "precharge")
MAIN_CONTACTS = {"main": "main_aux", "main_negative": "main_negative_aux"}
"""Auxiliary contacts of the main contactors, by their outputs."""
CONTACTS = (*MAIN_CONTACTS.values(), "precharge_aux")
