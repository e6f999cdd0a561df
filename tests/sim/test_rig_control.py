"""The rig's back door: what it injects, for how long, and what it says to what it does not know."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.rig.control import Control
from bms_daemon.sim.rig.pins import Pins
from bms_daemon.sim.settings import WorldSettings
from bms_daemon.sim.world import Assembly, assemble


def ask(control: Control, **request: Any) -> dict[str, Any]:
    return control.answer(json.dumps(request).encode())


def bench() -> tuple[Assembly, Control]:
    parts = assemble(WorldSettings())
    return parts, Control(parts, cast(Pins, SimpleNamespace(board="pi")))


def test_a_fault_stands_until_it_is_cleared_or_for_as_long_as_was_asked() -> None:
    async def main() -> None:
        parts, control = bench()
        assert ask(control, do="inject", fault="interlock")["at_s"] == parts.world.now_s
        await asyncio.sleep(5.0)
        assert not parts.world.interlock_closed
        ask(control, do="clear", fault="interlock")
        assert parts.world.interlock_closed
        ask(control, do="inject", fault="interlock", for_s=0.008)
        await asyncio.sleep(0.007)
        assert not parts.world.interlock_closed
        await asyncio.sleep(0.002)
        assert parts.world.interlock_closed

    run_manual(main())


def test_arguments_reach_the_fault_and_the_state_shows_it() -> None:
    async def main() -> None:
        _, control = bench()
        before_v = ask(control, do="state")["cell_v"]
        ask(control, do="inject", fault="cell_offset", args={"where": 3, "value": 0.5})
        await asyncio.sleep(0.1)
        after_v = ask(control, do="state")["cell_v"]
        moved = [at for at, (a, b) in enumerate(zip(before_v, after_v, strict=True)) if abs(b - a) > 0.4]
        assert moved == [3]

    run_manual(main())


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"7", b'{"do": "dance"}', b'{"do": "inject", "fault": "dance"}',
     b'{"do": "inject", "fault": "cell_offset", "args": {"wear": 3}}', b'{"do": "trace", "after_s": "soon"}'],
)  # fmt: skip
def test_what_it_does_not_know_is_an_error_in_words(line: bytes) -> None:
    async def main() -> dict[str, Any]:
        return bench()[1].answer(line)

    assert "verbs are inject" in run_manual(main())["error"]


@given(st.binary(max_size=60))
def test_no_line_brings_it_down(line: bytes) -> None:
    async def main() -> object:
        return bench()[1].answer(line)

    assert isinstance(run_manual(main()), dict)
