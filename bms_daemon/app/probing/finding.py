"""What a check has to say: good, worth knowing, or wrong with how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bms_daemon.model import BusFault

MEND: dict[str, str] = {
    "nack": "nobody answers at this address: is the chip supplied and awake, are SDA and SCL (or chip select) not "
    "swapped, are there pull-ups, is the address right",
    "crc": "the checksum is wrong: the part may speak without one, or noise spoils the bus; try it slower",
    "timeout": "the bus hangs or the part is too slow: a stretched clock, a short to ground, another master",
    "gone": "the device is not there: enable the bus in the board's configuration, see docs/bring-up",
    "denied": "the user may not open the device: add it to the group of the device (i2c, spi, gpio, dialout)",
    "busy": "somebody else holds it: a running daemon, or a kernel driver",
    "framing": "the answer has another length than it should: another part, or noise",
    "refused": "correct what it names: the wire, the supply or the part; or the configuration, if that "
    "names another part",
}


class Level(Enum):
    OK = "ok"
    NOTE = "note"
    WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    """``mend``: what to do, empty where there is nothing to do."""

    level: Level
    what: str
    mend: str = ""


def ok(what: str) -> Finding:
    return Finding(Level.OK, what)


def note(what: str, mend: str = "") -> Finding:
    return Finding(Level.NOTE, what, mend)


def wrong(what: str, mend: str) -> Finding:
    return Finding(Level.WRONG, what, mend)


def of_fault(what: str, fault: BusFault) -> Finding:
    """A part that did not answer as it should."""
    return wrong(f"{what}: {fault}", MEND.get(fault.kind, "see docs/bring-up"))
