"""The campaign's rows: how each fault is made true, how it is mended, and what is expected in operation and at boot.

Rows are those of the fault catalogue; a row with several rungs or kinds has several cases. The numbers are those of the
reference configuration (config/demo.toml).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from bms_daemon.config.schema import Line
from bms_daemon.model import Reaction, Snapshot
from bms_daemon.offline.campaign_bench import Bench, StallingLoop
from bms_daemon.offline.campaign_node import CLOSE
from bms_daemon.sim import faults

R = Reaction
Act = Callable[[Bench], None]


class Boot(Enum):
    """What is expected when the fault is there from the start."""

    STAYS_OPEN = "never closes"
    KEEPS_CLASS = "closes, keeps its class"
    BLOCKED = "keeps its class; blocked both ways it need not close"
    REACTS = "shows only when closed: closes, reacts, stays open"
    NOTHING = "closes: nothing was there to be lost"
    NEVER = "cannot be there at boot"


class Origin(Enum):
    """From when the time counts."""

    INJECTION = 0
    RELEASE = 1  # of the coil: the fault is true as soon as the contact does not follow


def nothing(bench: Bench) -> None:
    """Where there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Case:
    """``code`` and ``reaction`` are expected of the rule table; ``mend`` None: it cannot be mended in one run.

    ``asks``: with the fault standing an operator asks to open and to close, in vain. ``first_ask_s``: when, at boot.
    ``closed_s``: how long the pack is closed before the fault comes, where limits must have risen.
    """

    name: str
    row: str
    code: str
    reaction: Reaction
    inject: Act
    mend: Act | None = None
    boot: Boot = Boot.STAYS_OPEN
    values: Mapping[str, object] = field(default_factory=dict)
    prepare: Act = nothing
    speaks: bool = False
    asks: bool = True
    first_ask_s: float = 1.6
    origin: Origin = Origin.INJECTION
    in_operation: bool = True
    closed_s: float = 0.0


def _do(name: str, **args: object) -> Act:
    return lambda bench: faults.inject(bench.assembly, name, **args)


def _undo(name: str) -> Act:
    return lambda bench: faults.clear(bench.assembly, name)


def _over_voltage(bench: Bench) -> None:
    """A cell at 3.80 V: above the daemon's critical 3.75 V, below the chip's own 3.85 V."""
    where = bench.rng.randrange(16)
    bench.assembly.world.sync_now()
    _do("cell_offset", where=where, value=3.80 - float(bench.assembly.plant.taps.cell_v[where]))(bench)


def _all_cells(bench: Bench) -> None:
    _do("chip_raw", value=bench.rng.choice([0xFFFF, 0x0000]))(bench)


def _stack_off(bench: Bench) -> None:
    bench.assembly.world.sync_now()
    _do("chip_stack", value=float(bench.assembly.plant.taps.stack_v) + bench.rng.choice([-1.5, 1.5]))(bench)


def _lost_cell(bench: Bench) -> None:
    _do("chip_cell_lost", where=bench.rng.randrange(16))(bench)


def _probe(degc: float) -> Act:
    return lambda bench: _do("probe_temperature", where=bench.rng.randrange(3), value=degc)(bench)


def _corrupt(rate: float) -> Act:
    def begin(bench: Bench) -> None:
        bench.assembly.afe_bus.faults.flip_rate = rate

    return begin


def _nack(count: float) -> Act:
    def begin(bench: Bench) -> None:
        bench.assembly.afe_bus.faults.nack = count

    return begin


def _stuck(stuck: bool) -> Act:
    def begin(bench: Bench) -> None:
        bench.assembly.afe_bus.faults.stuck = stuck

    return begin


def _wild_reset(bench: Bench) -> None:
    """The chip loses its supply for an instant; what it converts from then on is wild until that is mended."""
    _do("chip_reset")(bench)
    _do("chip_wild", value=1_000_000)(bench)


def _shunt_silent(silent: bool) -> Act:
    def begin(bench: Bench) -> None:
        bench.assembly.shunt_port.faults.silent = silent

    return begin


def _weld_and_open(bench: Bench) -> None:
    """The contact welds, then somebody asks to open."""
    _do("weld")(bench)
    bench.ask("open")


def _trip_beside_closes(bench: Bench) -> None:
    """Over-current opens the pack; its cause goes with the current, and a controller goes on asking to close."""
    _do("over_current", value=-120.0)(bench)
    asyncio.get_running_loop().call_later(1.0, _undo("over_current"), bench)
    for second in range(2, 20):
        asyncio.get_running_loop().call_later(second, bench.ask, "close")


def _closing_controller(bench: Bench) -> None:
    bench.node.request = CLOSE


def _moving(bench: Bench) -> None:
    bench.node.moving = True


def _obeying(bench: Bench) -> None:
    """The charger follows the limits that it hears."""
    bench.node.obey = bench.assembly.plant.outside.publish


def _node_silent(silent: bool) -> Act:
    def begin(bench: Bench) -> None:
        bench.node.silent = silent

    return begin


def _node_wrong(wrong: bool) -> Act:
    def begin(bench: Bench) -> None:
        bench.node.wrong_crc = wrong

    return begin


def _bus_off(bench: Bench) -> None:
    bench.node.bus_off()


def _stalls(bench: Bench) -> None:
    """From now on every tick blocks the loop for 40 ms, two periods."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StallingLoop)

    def block(_: Snapshot) -> None:
        loop.stall(0.04)

    bench.core.watchers.append(block)


def _no_more_stalls(bench: Bench) -> None:
    bench.core.watchers.pop()


def _lost_numbers(bench: Bench) -> None:
    """One number of one cell's estimate is none any more."""
    state = bench.core.state
    assert state.est.cells is not None
    mean = state.est.cells.soc.filter.mean
    mean[bench.rng.randrange(mean.shape[0]), bench.rng.randrange(mean.shape[1])] = math.nan


VEHICLE = {"node.profile": "vehicle", "can.vcu": "required"}
SECOND_LINE = {"gpio.second_disconnect": Line(line="SECOND")}

CASES: tuple[Case, ...] = (
    Case("S03", "S03", "cell_over_voltage_critical", R.OPEN, _over_voltage, _undo("cell_offset")),
    Case("S06", "S06", "afe_frozen", R.STOP, _do("chip_frozen"), _undo("chip_frozen")),
    Case("S07", "S07", "cells_absent", R.STOP, _all_cells, _undo("chip_raw")),
    Case("S13", "S13", "sum_mismatch", R.STOP, _stack_off, _undo("chip_stack")),
    Case("S14", "S14", "cell_missing", R.OPEN, _lost_cell, _undo("chip_cell_lost")),
    Case("S17", "S17", "afe_lost", R.STOP, _corrupt(1.0), _corrupt(0.0)),
    Case("S24", "S24", "cells_absent", R.STOP, _wild_reset, _undo("chip_wild")),
    Case("S30", "S30", "over_current_discharge", R.OPEN, _do("over_current", value=-120.0), _undo("over_current"),
         Boot.REACTS, asks=False),
    Case("S33", "S33", "shunt_lost", R.STOP, _shunt_silent(True), _shunt_silent(False)),
    Case("S48 hot", "S48", "over_temperature", R.BLOCK_D, _probe(58.0), _undo("probe_temperature"), Boot.BLOCKED,
         prepare=_obeying, asks=False),
    Case("S48 critical", "S48", "temperature_critical", R.OPEN, _probe(68.0), _undo("probe_temperature")),
    Case("S49", "S49", "under_temperature_charge", R.BLOCK_C, _probe(-3.0), _undo("probe_temperature"),
         Boot.KEEPS_CLASS, prepare=_obeying, asks=False),
    Case("B02", "B02", "afe_lost", R.STOP, _nack(math.inf), _nack(0)),
    Case("B03", "B03", "afe_lost", R.STOP, _stuck(True), _stuck(False)),
    Case("A01", "A01", "main_welded", R.SECOND, _weld_and_open, values=SECOND_LINE, origin=Origin.RELEASE),
    Case("A02", "A02", "main_not_closing", R.OPEN, _do("coil_broken"), _undo("coil_broken"), Boot.REACTS),
    Case("A03", "A03", "contact_chatter", R.OPEN, _do("aux_chatter"), _undo("aux_chatter")),
    Case("A11", "A11", "over_current_discharge", R.OPEN, _trip_beside_closes, boot=Boot.NEVER, asks=False,
         prepare=_closing_controller, speaks=True),
    Case("A12", "A12", "afe_settling", R.INHIBIT, _nack(math.inf), in_operation=False),
    Case("A22 emergency stop", "A22", "emergency_stop", R.OPEN, _do("emergency_stop"), _undo("emergency_stop")),
    Case("A22 interlock, standing", "A22", "interlock_open", R.OPEN, _do("interlock"), _undo("interlock")),
    Case("A22 interlock, moving", "A22", "interlock_open", R.STOP, _do("interlock"), _undo("interlock"),
         prepare=_moving, speaks=True),
    Case("C01 vehicle", "C01", "vcu_lost", R.STOP, _node_silent(True), _node_silent(False), values=VEHICLE,
         speaks=True),
    Case("C01 home", "C01", "vcu_lost", R.DERATE, _node_silent(True), _node_silent(False), Boot.NOTHING,
         prepare=_obeying, speaks=True, asks=False),
    Case("C04 vehicle", "C04", "vcu_lost", R.STOP, _node_wrong(True), _node_wrong(False), values=VEHICLE, speaks=True),
    Case("C04 home", "C04", "vcu_lost", R.DERATE, _node_wrong(True), _node_wrong(False), Boot.NOTHING,
         prepare=_obeying, speaks=True, asks=False),
    Case("C10", "C10", "can_silent", R.STOP, _bus_off, first_ask_s=3.3),
    Case("P02", "P02", "tick_overrun", R.STOP, _stalls, _no_more_stalls),
    Case("P17", "P17", "estimator_restarted", R.DERATE, _lost_numbers, boot=Boot.NEVER, asks=False,
         closed_s=6.0),
)  # fmt: skip
