"""Emulator of a Victron battery monitor on VE.Direct: text blocks unasked, HEX replies and asynchronous HEX frames.

Every second the device sends its measurements and, right behind, its history block. Values are sampled when the first
byte leaves; a block is delivered whole when its last byte has left at 19200 8N1.

Taken from memory, not from a confirmed source: for how long text pauses once a HEX frame came (no block begins, the one
under way is finished), the answers to other commands than "get", what a version looks like, the flag of a register that
is not there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from bms_daemon.sim.taps import Taps

BYTE_S = 10 / 19200
PERIOD_S = 1.0
JITTER_S = 0.01
SAMPLE_S = 0.25  # the coulomb counter's own step
NOISE_A = 0.01
CAPACITY_REGISTER = 0x1000
HEX_PAUSE_S = 3.0
PRODUCT_ID, VERSION = 0x0203, 0x4308
PING, APP_VERSION, PRODUCT, GET = 0x1, 0x3, 0x4, 0x7
DONE, UNKNOWN, ERROR, PONG = 0x1, 0x3, 0x4, 0x5
UNKNOWN_REGISTER = 0x01
LONGEST_FRAME = 128
_EDGE = 1e-9


@dataclass(slots=True)
class Faults:
    """The test's back door. Counts go down with every use."""

    silent: bool = False
    deaf: bool = False  # the wire to its RX is cut
    stuck: bool = False  # blocks go on with the values they had
    garbage: int = 0  # random bytes before the next block
    bad_checksums: int = 0  # measurement blocks
    hex_frames: bool = False  # an asynchronous HEX frame inside every measurement block
    offset_a: float = 0.0
    gain: float = 1.0
    inverted: bool = False
    flood: int = 1  # so many times the usual rate of blocks


def block(records: list[tuple[str, str]], hex_frame: bytes = b"") -> bytes:
    """A text block with its checksum. A HEX frame goes in after the first record, and is not part of the sum."""
    lines = [f"\r\n{label}\t{value}".encode("ascii") for label, value in records]
    body = b"".join(lines) + b"\r\nChecksum\t"
    checksum = bytes([-sum(body) & 0xFF])
    return lines[0] + hex_frame + body[len(lines[0]) :] + checksum


def hex_frame(command: int, payload: bytes) -> bytes:
    """``:``, command nibble, payload and checksum as hex digits; all sums to 0x55."""
    checksum = (0x55 - command - sum(payload)) & 0xFF
    return f":{command:X}{payload.hex().upper()}{checksum:02X}\n".encode("ascii")


def hex_content(line: bytes) -> bytes | None:
    """Command and payload of a frame without its ``\\n``, a byte each; None for what is none."""
    start = line.rfind(b":")
    try:
        content = bytes.fromhex("0" + line[start + 1 :].decode("ascii")) if start >= 0 else b""
    except ValueError:
        return None
    return content[:-1] if len(content) > 1 and sum(content) & 0xFF == 0x55 else None


class VeDirectShunt:
    """Implements ``sim.taps.Talker``. Counts charge from ``soc`` of ``capacity_ah``; voltage is the pack's.

    The counter sees the faulty current, as a real one would. Faults act on the next block.
    """

    def __init__(
        self, taps: Taps, seed: int, capacity_ah: float, soc: float, *, hex_pause_s: float = HEX_PAUSE_S
    ) -> None:
        self.faults = Faults()
        self._taps = taps
        self._random = random.Random(seed)
        self._capacity_ah, self._hex_pause_s = capacity_ah, hex_pause_s
        self._charge_ah = soc * capacity_ah
        self._drawn_ah = self._deepest_ah = 0.0
        self._now_s = self._counted_s = 0.0
        self._last_a = taps.current_a
        self._values: list[tuple[str, str]] = []
        self._heard = b""
        self._replies = b""
        self._start_s = self._random.uniform(0.0, JITTER_S)
        self._sample_s = SAMPLE_S
        self._outgoing: list[tuple[float, bytes]] = []

    # ------------------------------------------------------------------ Talker
    def advance(self, now_s: float) -> bytes:
        self.count(now_s)
        self._now_s = now_s
        if now_s + _EDGE >= self._start_s:
            self._begin(now_s)
        sent = b"".join(data for end_s, data in self._outgoing if end_s <= now_s + _EDGE)
        self._outgoing = [item for item in self._outgoing if item[0] > now_s + _EDGE]
        if self._replies and not self.faults.silent:
            sent, self._replies = sent + self._replies, b""
        return sent

    @property
    def next_event_s(self) -> float:
        ends = [end_s for end_s, _ in self._outgoing]
        return self._now_s if self._replies and not self.faults.silent else min([self._start_s, self._sample_s, *ends])

    def hear(self, data: bytes) -> None:
        """HEX frames. Text pauses from every one of them on."""
        if self.faults.deaf:
            return
        *lines, tail = (self._heard + data).split(b"\n")
        self._heard = tail[-LONGEST_FRAME:]
        for line in lines:
            self._replies += self._answer(hex_content(line))
            self._start_s = max(self._start_s, self._now_s + self._hex_pause_s)

    def _answer(self, content: bytes | None) -> bytes:
        if content is None:
            return hex_frame(ERROR, b"\xaa\xaa")
        command, payload = content[0], content[1:]
        if command == PING:
            return hex_frame(PONG, VERSION.to_bytes(2, "little"))
        if command in (APP_VERSION, PRODUCT):
            return hex_frame(DONE, (VERSION if command == APP_VERSION else PRODUCT_ID).to_bytes(2, "little"))
        if command == GET and len(payload) == 3:
            known = int.from_bytes(payload[:2], "little") == CAPACITY_REGISTER
            return hex_frame(GET, self._capacity_payload() if known else payload[:2] + bytes((UNKNOWN_REGISTER,)))
        return hex_frame(UNKNOWN, bytes((command,)))

    # ------------------------------------------------------------------ measurement
    def _measured_a(self) -> float:
        faults = self.faults
        side = -1.0 if faults.inverted else 1.0
        return side * faults.gain * self._taps.current_a + faults.offset_a

    def count(self, now_s: float) -> None:
        """See ``taps.Counts``."""
        current_a = self._measured_a()
        moved_ah = 0.5 * (current_a + self._last_a) * max(0.0, now_s - self._counted_s) / 3600.0
        self._charge_ah = min(self._capacity_ah, self._charge_ah + moved_ah)
        self._drawn_ah += max(0.0, -moved_ah)
        self._deepest_ah = max(self._deepest_ah, self._capacity_ah - self._charge_ah)
        self._last_a, self._counted_s = current_a, max(self._counted_s, now_s)
        while self._sample_s <= now_s + _EDGE:
            self._sample_s += SAMPLE_S

    def _measurements(self) -> list[tuple[str, str]]:
        current_a = self._measured_a() + self._random.gauss(0.0, NOISE_A)
        voltage_v = self._taps.pack_v
        held = max(0.0, self._charge_ah)
        minutes = held / -current_a * 60.0 if current_a < 0.0 else -1.0
        return [
            ("PID", "0x203"),
            ("V", f"{voltage_v * 1000.0:.0f}"),
            ("I", f"{current_a * 1000.0:.0f}"),
            ("P", f"{voltage_v * current_a:.0f}"),
            ("CE", f"{(self._charge_ah - self._capacity_ah) * 1000.0:.0f}"),
            ("SOC", f"{held / self._capacity_ah * 1000.0:.0f}"),
            ("TTG", f"{min(minutes, 14400.0):.0f}"),
            ("Alarm", "OFF"),
            ("Relay", "OFF"),
            ("AR", "0"),
            ("BMV", "700"),
            ("FW", "0308"),
        ]

    def _history(self) -> list[tuple[str, str]]:
        deepest, drawn = f"{-self._deepest_ah * 1000.0:.0f}", f"{-self._drawn_ah * 1000.0:.0f}"
        values = {1: deepest, 2: deepest, 6: drawn, 7: "0", 8: f"{self._taps.pack_v * 1000.0:.0f}"}
        return [(f"H{number}", values.get(number, "0")) for number in (*range(1, 13), *range(15, 19))]

    # ------------------------------------------------------------------ blocks
    def _begin(self, now_s: float) -> None:
        """Start this second's blocks and set the next start."""
        start_s = max(self._start_s, now_s - PERIOD_S)
        period_s = PERIOD_S / self.faults.flood
        self._start_s = max(start_s + period_s + self._random.uniform(-JITTER_S, JITTER_S) / self.faults.flood, now_s)
        if self.faults.silent:
            return
        end_s = start_s
        for data in (self._garbage() + self._measurement_block(), block(self._history())):
            end_s += len(data) * BYTE_S
            self._outgoing.append((end_s, data))

    def _garbage(self) -> bytes:
        data = self._random.randbytes(self.faults.garbage)
        self.faults.garbage = 0
        return data

    def _measurement_block(self) -> bytes:
        if not (self.faults.stuck and self._values):
            self._values = self._measurements()
        data = block(self._values, hex_frame(0xA, self._capacity_payload()) if self.faults.hex_frames else b"")
        if self.faults.bad_checksums > 0:
            self.faults.bad_checksums -= 1
            data = data[:-1] + bytes([data[-1] ^ 0xFF])
        return data

    def _capacity_payload(self) -> bytes:
        """Register, flags and value as a HEX frame carries them: u16, Ah."""
        return CAPACITY_REGISTER.to_bytes(2, "little") + b"\0" + round(self._capacity_ah).to_bytes(2, "little")
