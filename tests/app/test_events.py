"""What happened between two snapshots, and where it is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from daemon_bench import daemon, manual, settings_in
from helpers.full_snapshot import snapshot as full_snapshot
from structlog.testing import capture_logs

from bms_daemon.app.events import events_between
from bms_daemon.model import Event, PackState
from bms_daemon.runtime.link_client import LinkClient
from bms_daemon.sim import faults


def test_the_same_snapshot_twice_is_no_event() -> None:
    one = full_snapshot()
    assert events_between(one, one) == []


def test_the_first_snapshot_tells_its_state_and_its_faults() -> None:
    kinds = [event.kind for event in events_between(None, full_snapshot())]
    assert kinds[-1] == "state" and kinds.count("fault") == len(full_snapshot().faults.active)


async def heard_of_a_fault(folder: Path) -> tuple[list[Event], list[Event], list[Event]]:
    """Events while nothing happens, when a cell jumps above its critical limit, and when that is cleared."""
    async with daemon(settings_in(folder)) as here:
        await here.close_pack()
        quiet, bad, good = [], [], []
        note = here.core._note
        into: list[Event] = quiet

        def noting(event: Event) -> None:
            into.append(event)
            note(event)

        here.core._note = noting  # type: ignore[method-assign]
        await asyncio.sleep(5.0)
        into = bad
        faults.inject(here.parts, "cell_over_voltage", where=6)
        await asyncio.sleep(0.8)
        into = good
        faults.clear(here.parts, "cell_over_voltage")
        await asyncio.sleep(0.5)
        here.orders.ask("clear", "all")
        await asyncio.sleep(1.0)
        return quiet, bad, good


def test_a_fault_is_told_with_what_was_measured_then_and_nothing_while_nothing_changes(tmp_path: Path) -> None:
    async def scene() -> None:
        quiet, bad, good = await heard_of_a_fault(tmp_path)
        assert quiet == []
        by_code = {event.code: event for event in bad if event.kind == "fault"}
        critical = by_code["cell_over_voltage_critical"]
        assert critical.data["where"] == 7 and critical.data["reaction"] == "open" and critical.data["latched"]
        assert critical.data["value"] > 3.75 and critical.data["limit"] == 3.75
        assert critical.data["max_cell_v"] == critical.data["value"]
        assert {"current_a", "soc", "min_cell_v", "link_v", "probe_degc"} <= critical.data.keys()
        states = [event.code for event in bad if event.kind == "state"]
        assert states == ["fault", "latched"]
        order = [event.code for event in bad]
        assert order.index("cell_over_voltage_critical") < order.index("fault"), "the cause comes before what it led to"
        assert "cell_over_voltage_critical" in [event.code for event in good if event.kind == "cleared"]

    manual(scene)


def test_log_lines_carry_the_fault_s_data(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.close_pack()
            faults.inject(here.parts, "emergency_stop")
            await asyncio.sleep(0.1)

    with capture_logs() as lines:
        manual(scene)
    (line,) = [line for line in lines if line.get("code") == "emergency_stop"]
    assert line["log_level"] == "warning" and line["kind"] == "fault"
    assert line["data"]["reaction"] == "open" and line["data"]["latched"] is True


def test_the_link_s_ring_keeps_events_for_those_who_come_later(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path), linked=True) as here:
            await here.close_pack()
            faults.inject(here.parts, "emergency_stop")
            await asyncio.sleep(0.1)
            async with LinkClient(here.settings.link.socket, timeout_s=600.0) as client:
                events = await client.events(50)
            json.dumps(events, allow_nan=False)
            told = [(event["event"], event["code"]) for event in events]
            assert told[-3:] == [("fault", "emergency_stop"), ("state", "fault"), ("state", "latched")]
            assert here.state is PackState.LATCHED

    manual(scene)
