"""The DBC as loaded: messages by name, version and hash, and what its attributes say of timing and protection."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import cantools.database
from cantools.database.can import Database as Dbc
from cantools.database.can import Message, Signal

from bms_daemon.can.e2e import Protection

OWN_NODE = "BMS"
MAX_ID = 0x7FF
COUNTER_TYPE, CHECKSUM_TYPE = 11, 12  # places in the DBC's SigType enumeration


@dataclass(frozen=True, slots=True)
class Database:
    """The daemon's own frames. ``version`` is the DBC's major and minor, ``sha256`` the hash of the file's bytes."""

    messages: dict[str, Message]
    version: tuple[int, int]
    sha256: bytes
    id_offset: int

    @property
    def hash32(self) -> int:
        """The first four bytes of the hash, high byte first."""
        return int.from_bytes(self.sha256[:4], "big")

    def frame_id(self, name: str) -> int:
        """Identifier on the bus, the node's offset included."""
        return self.messages[name].frame_id + self.id_offset

    def protection(self, name: str) -> Protection | None:
        """End-to-end protection of a message; None for a message without."""
        return _protection(self.messages[name], self.id_offset)

    def sent(self) -> list[Message]:
        """What this node sends, most urgent first."""
        return sorted((m for m in self.messages.values() if OWN_NODE in m.senders), key=lambda m: m.frame_id)


def load(id_offset: int = 0, path: Path | None = None) -> Database:
    """Load the packaged bms.dbc, or the file at ``path``. Raises ValueError when the offset leaves the 11-bit range."""
    raw = path.read_bytes() if path else files("bms_daemon").joinpath("data", "dbc", "bms.dbc").read_bytes()
    dbc = cantools.database.load_string(raw.decode("utf-8"), "dbc")
    if not isinstance(dbc, Dbc):
        raise ValueError("not a CAN database")
    highest = max(message.frame_id for message in dbc.messages) + id_offset
    if highest > MAX_ID:
        raise ValueError(f"can.id_offset {id_offset:#x}: identifiers up to {highest:#x}, but at most {MAX_ID:#x}")
    version = (int(_attribute(dbc, "DbcMajor")), int(_attribute(dbc, "DbcMinor")))
    return Database({m.name: m for m in dbc.messages}, version, hashlib.sha256(raw).digest(), id_offset)


def _attribute(of: Dbc | Message | Signal, name: str, default: int = 0) -> int:
    attributes = of.dbc.attributes if of.dbc is not None else {}
    return int(attributes[name].value) if name in attributes else default


def gap_s(message: Message) -> float:
    """Least time between two frames of a message that is also sent on change; 0 for a purely cyclic one."""
    return _attribute(message, "GenMsgDelayTime") / 1000.0


def phase_s(message: Message) -> float:
    """Delay of the first frame, which keeps messages of one cycle time apart."""
    return _attribute(message, "GenMsgStartDelayTime") / 1000.0


def _protection(message: Message, id_offset: int) -> Protection | None:
    places = {_attribute(signal, "SigType"): signal.start for signal in message.signals}
    if CHECKSUM_TYPE not in places or COUNTER_TYPE not in places:
        return None
    return Protection(
        data_id=_attribute(message, "E2EDataId") + id_offset,
        crc_byte=places[CHECKSUM_TYPE] // 8,
        counter_byte=places[COUNTER_TYPE] // 8,
        counter_shift=places[COUNTER_TYPE] % 8,
        polynomial=_attribute(message, "E2ECrcPolynomial", 0x1D),
        initial=_attribute(message, "E2ECrcInitial", 0xFF),
        final_xor=_attribute(message, "E2ECrcFinalXor", 0xFF),
        low_byte_only=_attribute(message, "E2EDataIdMode") == 1,
        max_delta=_attribute(message, "E2EMaxDeltaCounter", 3),
        max_repeated=_attribute(message, "E2EMaxNoNewOrRepeatedData", 5),
    )
