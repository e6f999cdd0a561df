"""Recordings of known cells, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from known_cell import LFP, KnownCell, cycle, pulses, slow, write


@pytest.fixture(scope="session")
def known() -> KnownCell:
    return KnownCell()


@pytest.fixture(scope="session")
def files(known: KnownCell, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``cold`` is a cycle at 0 degC, ``lfp`` and ``lfp_cycle`` are of the other chemistry."""
    folder = tmp_path_factory.mktemp("recordings")
    played = {
        "slow": slow(known),
        "slow_cold": slow(known, degc=0.0),
        "pulses": pulses(known),
        "cycle": cycle(known, 1),
        "cold": cycle(known, 2, degc=0.0),
        "lfp": slow(LFP),
        "lfp_cycle": cycle(LFP, 3),
    }
    return {name: write(folder / f"{name}.csv", each) for name, each in played.items()}
