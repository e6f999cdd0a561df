"""The rig's back door: what it injects, for how long, and what it says to what it does not know."""

from __future__ import annotations

import asyncio
import contextlib
import json
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rig_bench import Chip, pins_of

from bms_daemon.model import BusFault
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.faults import FAULTS
from bms_daemon.sim.rig.control import Control
from bms_daemon.sim.rig.pins import Pins
from bms_daemon.sim.settings import WorldSettings


def ask(control: Control, **request: Any) -> dict[str, Any]:
    return control.answer(json.dumps(request).encode())


def bench() -> tuple[Assembly, Control]:
    parts = assemble(WorldSettings())
    return parts, Control(parts, pins_of(parts)[1])


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


def test_the_trace_tells_changes_of_coils_and_lines_and_how_late_the_rig_was() -> None:
    async def main() -> None:
        parts = assemble(WorldSettings())
        parts.world.chip = None  # a fresh one allows no coil
        chip, pins = pins_of(parts)
        control = Control(parts, pins)
        pins.look()
        await asyncio.sleep(0.25)
        chip.driven = {17: True, 22: True}
        pins.look()
        await asyncio.sleep(0.25)
        found = ask(control, do="trace", reset=True)
        assert found["lines"] == [(0.25, "main", True), (0.25, "dead_man", True)]
        assert found["coils"] == [(0.25, True, False), (0.45, False, False)]
        assert found["late_s"] == pytest.approx(0.246)
        assert ask(control, do="trace", after_s=0.3)["lines"] == []
        assert ask(control, do="trace", after_s=0.3)["coils"] == [(0.45, False, False)]
        pins.look()
        await asyncio.sleep(0.004)
        pins.look()
        assert ask(control, do="trace")["late_s"] == pytest.approx(0.246), "the wait that was under way at the reset"
        ask(control, do="trace", reset=True)
        assert ask(control, do="trace")["late_s"] == pytest.approx(0.0, abs=1e-9)

    run_manual(main())


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"7", b"[" * 100_000, b"9" * 10_000, b'{"do": ["inject"]}', b'{"do": "dance"}',
     b'{"do": "inject", "fault": "dance"}', b'{"do": "inject"}', b'{"do": "clear", "fault": "line_stuck"}',
     b'{"do": "inject", "fault": ["weld"]}', b'{"do": "inject", "fault": "weld", "args": null}',
     b'{"do": "inject", "fault": "cell_offset", "args": {"wear": 3}}', b'{"do": "trace", "after_s": "soon"}',
     b'{"do": "trace", "after_s": NaN}', b'{"do": "trace", "reset": 1}'],
)  # fmt: skip
def test_what_it_does_not_know_is_an_error_in_words(line: bytes) -> None:
    async def main() -> dict[str, Any]:
        return bench()[1].answer(line)

    assert "verbs are inject" in run_manual(main())["error"]


NO_NUMBERS = ("3", [3.0], {}, None, nan, inf, -inf, 10**400, True)
REFUSED = [
    *(("cell_offset", {"value": value}) for value in NO_NUMBERS),
    *(("cell_offset", {"where": where}) for where in (99, 16, -1, 1.5, "1", None, False)),
    ("probe_temperature", {"where": 3}),
    ("chip_probe", {"where": 3}),
    ("chip_cell_lost", {"where": 16}),
    ("i2c_owned", {"where": 128}),
    ("i2c_nack", {"value": nan}),
    ("shunt_flood", {"value": 0}),
    ("short_circuit", {"value": 0.0}),
    ("no_capacitor", {"value": 0.0}),
    ("chip_trip", {"value": 256}),
    ("chip_wild", {"value": 2.5}),
    ("weld", {"value": 1}),
    ("aux_broken", {"value": "loose"}),
    ("weld", {"where": 0}),
    ("line_refused", {}),
]


def standing(parts: Assembly) -> str:
    """Everything that a fault may change, as text."""
    plant, wires = parts.plant, (parts.afe_bus.faults, parts.shunt_port.faults, parts.lines.refused, parts.gate)
    arrays = (plant.cells.offset_v, plant.cells.bleed_a, plant.thermal.forced_degc, plant.thermal.extra_w)
    owners = (plant.path.main, plant.path.precharge, plant.path.link, plant.outside)
    return repr((wires, parts.chip.faults, parts.talker.faults, arrays, [vars(owner) for owner in owners]))


@pytest.mark.parametrize(("fault", "args"), REFUSED)
def test_an_argument_that_a_fault_cannot_take_changes_nothing(fault: str, args: dict[str, Any]) -> None:
    async def main() -> None:
        parts, control = bench()
        before = standing(parts)
        assert "error" in ask(control, do="inject", fault=fault, args=args)
        assert standing(parts) == before

    run_manual(main())


@pytest.mark.parametrize("for_s", ["1", -0.1, nan, inf, True, [], 10**400])
def test_a_time_that_is_none_injects_nothing(for_s: object) -> None:
    async def main() -> None:
        parts, control = bench()
        assert "error" in ask(control, do="inject", fault="interlock", for_s=for_s)
        assert parts.world.interlock_closed

    run_manual(main())


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_comes_as_it_is_and_goes(fault: str) -> None:
    async def main() -> None:
        parts, control = bench()
        offered = fault in ask(control, do="faults")["faults"]
        assert offered is not fault.startswith("line_")
        for verb in ("inject", "clear"):
            assert ("error" in ask(control, do=verb, fault=fault)) is not offered
            await asyncio.sleep(0.3)
            assert ask(control, do="state")["at_s"] == parts.world.now_s

    run_manual(main())


@pytest.mark.parametrize(("given_line", "answers"), [(b'{"do": "state"}\n', True), (b"x" * 100_000, False)])
def test_a_line_without_end_costs_its_own_client_alone(given_line: bytes, answers: bool, tmp_path: Path) -> None:
    async def talk(line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "rig.sock")
        writer.write(line)
        found = await reader.readline()
        writer.close()
        return found

    async def main() -> None:
        unhandled: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unhandled.append(context))
        async with await bench()[1].listen(tmp_path / "rig.sock"):
            assert bool(await talk(given_line)) is answers
            assert b"at_s" in await talk(b'{"do": "state"}\n')
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 the server's side of the connections
            await asyncio.sleep(0.001)
        assert unhandled == []

    asyncio.run(main())


@given(st.binary(max_size=60))
def test_no_line_brings_it_down(line: bytes) -> None:
    async def main() -> object:
        return bench()[1].answer(line)

    assert isinstance(run_manual(main()), dict)


NUMBERS = st.one_of(st.integers(), st.integers(-2, 130), st.floats(), st.floats(-6000.0, 6000.0), st.floats(0.0, 1.0))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from(["stuck_open", "stuck_closed", "chatter", "x"]))
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
)
REQUESTS = st.fixed_dictionaries(
    {"do": st.sampled_from(["inject", "inject", "inject", "clear", "state", "trace", "faults"])},
    optional={
        "fault": st.sampled_from(sorted(FAULTS)),
        "args": st.fixed_dictionaries({}, optional={"where": SCALARS, "value": SCALARS, "more": ANYTHING}) | ANYTHING,
        "for_s": st.floats(0.0, 1.0) | ANYTHING,
        "after_s": ANYTHING,
        "reset": ANYTHING,
    },
)
INJECTIONS = st.builds(
    lambda fault, args: {"do": "inject", "fault": fault, "args": args},
    st.sampled_from(sorted(FAULTS)),
    st.fixed_dictionaries({}, optional={"where": st.integers(0, 16), "value": NUMBERS}),
)


@settings(deadline=None)
@given(st.lists(INJECTIONS | REQUESTS, min_size=1, max_size=6), st.booleans())
@example([{"do": "inject", "fault": "shunt_flood", "args": {"value": 0}}], True)
@example([{"do": "inject", "fault": "no_capacitor", "args": {"value": 0.0}}], False)
@example([{"do": "inject", "fault": "cell_offset", "args": {"value": "much"}}], True)
@example([{"do": "inject", "fault": "line_refused"}], True)
def test_whatever_was_asked_the_world_goes_on(requests: list[dict[str, Any]], fitted: bool) -> None:
    """With a current, contactors that move and every wire talking. A chip that is fitted allows no coil."""

    async def main() -> None:
        parts = assemble(WorldSettings())
        chip, pins = pins_of(parts)
        control = Control(parts, pins)
        parts.world.chip = parts.chip if fitted else None
        ask(control, do="inject", fault="weld" if fitted else "precharge_load")
        for request in requests:
            assert isinstance(control.answer(json.dumps(request).encode()), dict)
            for _ in range(3):
                await turn(parts, chip, pins)
        assert ask(control, do="state")["at_s"] == pytest.approx(asyncio.get_running_loop().time())

    run_manual(main())


async def turn(parts: Assembly, chip: Chip, pins: Pins) -> None:
    """A look at the lines and a word on every wire, whatever it answers."""
    beat = not chip.driven.get(22, False)
    chip.driven = {17: beat, 22: beat, 27: beat}
    pins.look()
    with contextlib.suppress(BusFault):
        parts.afe_bus.finish(0x08, b"\x14", 32)
    with contextlib.suppress(BusFault, TimeoutError):
        async with asyncio.timeout(0.6):
            await parts.shunt_port.read()
    await asyncio.sleep(0.15)
    parts.world.sync_now()
