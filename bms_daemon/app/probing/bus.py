"""The CAN bus of the daemon: is it there, who speaks on it, and does nobody else send what is ours."""

from __future__ import annotations

import asyncio

from bms_daemon.app.probing.bench import Bench
from bms_daemon.app.probing.finding import Finding, note, of_fault, ok, wrong
from bms_daemon.buses.can import CanBus
from bms_daemon.can.database import load
from bms_daemon.model import BusFault

LISTEN_S, LOOKS = 1.0, 20


async def can_bus(bench: Bench) -> list[Finding]:
    can = bench.settings.can
    if can.interface == "none":
        return [note("no bus is configured")]
    heard: set[int] = set()
    try:
        bus = CanBus(can.interface, can.channel)
    except BusFault as fault:
        return [of_fault(f"{can.interface} {can.channel}", fault)]
    try:
        bus.start(lambda frame_id, data, time_s: heard.add(frame_id))
        for _ in range(LOOKS):
            bus.poll()
            await asyncio.sleep(LISTEN_S / LOOKS)
    finally:
        bus.close()
    return _judged(f"{can.channel}: up", heard, bench)


def _judged(what: str, heard: set[int], bench: Bench) -> list[Finding]:
    database = load(bench.settings.can.id_offset)
    theirs = heard & {database.frame_id(message.name) for message in database.sent()}
    if theirs:
        names = ", ".join(f"0x{frame_id:03X}" for frame_id in sorted(theirs))
        return [wrong(f"{what}, and somebody else sends {names}", "give each node its own can.id_offset")]
    if heard:
        return [ok(f"{what}, {len(heard)} other identifiers heard within {LISTEN_S:g} s")]
    mend = "if a controller should speak: bit rate, termination (60 ohm between the wires), ground"
    return [note(f"{what}, nobody speaks", mend)]
