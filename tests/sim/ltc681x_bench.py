"""A host's hands on an emulated LTC681x chain: raw frames with the published codes."""

from __future__ import annotations

import numpy as np

from bms_daemon.sim.isospi_inputs import Wiring
from bms_daemon.sim.ltc681x import Ltc681xChain
from bms_daemon.sim.plant import SimTaps

PECS = {
    0x0001: "3D6E", 0x0002: "2B0A", 0x0004: "07C2", 0x0006: "9A94", 0x0008: "5E52", 0x000C: "EFCC", 0x000E: "729A",
    0x0010: "ED72", 0x0012: "7024", 0x0360: "F46C", 0x0370: "AF42", 0x0560: "D3A0", 0x0568: "3BAE", 0x0711: "C9C0",
    0x0024: "B19E", 0x0026: "2CC8", 0x000A: "C304", 0x0009: "D560", 0x000B: "4836", 0x000D: "64FE", 0x000F: "F9A8",
    0x0712: "DFA4", 0x0713: "5496", 0x0714: "F36C", 0x0715: "785E", 0x0368: "1C62", 0x0328: "FBE8",
}  # fmt: skip
INIT, INIT_PEC = bytes.fromhex("FC0000000000"), bytes.fromhex("4F82")


def command(code: int) -> bytes:
    return code.to_bytes(2, "big") + bytes.fromhex(PECS[code])


class Host:
    """Chip select by hand. Each frame begins when the one before it has ended."""

    def __init__(
        self,
        cells: tuple[int, ...] = (12, 4),
        probes: tuple[int, ...] = (2, 1),
        wake: bool = True,
        part: str = "ltc6811",
    ) -> None:
        total = sum(cells)
        volts = 3.0 + 0.01 * np.arange(total)
        probe_degc = np.resize([25.0, 40.0, -10.0], max(3, sum(probes)))
        self.taps = SimTaps(volts, float(volts.sum()), 0.0, 0.0, 0.0, probe_degc, 30.0)
        self.chain = Ltc681xChain(self.taps, Wiring(cells, probes, 1), part)
        self.devices = len(cells)
        self.now_s = 10.0
        if wake:
            for _ in cells:
                self.send(b"\0", low_s=0.0003)
                self.now_s += 0.0004
            self.send(command(0x0001) + (INIT + INIT_PEC) * self.devices)
            self.now_s += 0.0045

    def send(self, data: bytes, low_s: float = 0.0) -> bytes:
        low_s = max(low_s, len(data) * 16e-6)
        self.now_s += low_s
        answer = self.chain.frame(self.now_s, data, low_s)
        self.now_s += 5e-6
        assert len(answer) == len(data)
        return answer

    def read(self, code: int) -> list[bytes]:
        answer = self.send(command(code) + bytes(8 * self.devices))[4:]
        return [answer[8 * k : 8 * k + 6] for k in range(self.devices)]

    def words(self, code: int) -> np.ndarray:
        return np.array([np.frombuffer(group, dtype="<u2") for group in self.read(code)])


def pec_of(data: str) -> bytes:
    """By the data sheet's register, bit by bit."""
    register = 0x0010
    for byte in bytes.fromhex(data):
        for bit in range(7, -1, -1):
            register = (register << 1 ^ (0x4599 if (register >> 14 ^ byte >> bit) & 1 else 0)) & 0x7FFF
    return (register << 1).to_bytes(2, "big")
