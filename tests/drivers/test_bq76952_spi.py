"""The bq76952's frames on SPI, from TI's numbers, and a wire that is slow, torn or noisy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from contract.afe_families import BQ76952
from helpers.fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.drivers import bq76952_frames as frames
from bms_daemon.drivers import registry
from bms_daemon.drivers.bq76952_spi import Settings
from bms_daemon.drivers.bq76952_wire import SpiWire
from bms_daemon.model import BusFault
from bms_daemon.ports import SpiFrame
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.settings import WorldSettings


def test_frames_are_as_ti_computes_them() -> None:
    assert frames.write(0x66, 0x82, crc=True) == bytes.fromhex("E682BA")
    assert frames.read(0x14, crc=True) == bytes.fromhex("14FFF0")
    assert frames.value(bytes.fromhex("14FFF0"), bytes.fromhex("14681C"), crc=True) == 0x68
    assert frames.read(0x14, crc=False) == bytes.fromhex("14FF")
    assert frames.value(bytes.fromhex("14FF"), bytes.fromhex("1468"), crc=False) == 0x68


@pytest.mark.parametrize(
    ("reply", "late"), [("FFFF00", True), ("FFFF", True), ("FFFFFF", False), ("FFFFAA", False), ("14681C", False)]
)
def test_a_chip_that_is_not_ready_says_so(reply: str, late: bool) -> None:
    assert frames.not_ready(bytes.fromhex(reply)) is late


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [("FFFFAA", "crc", "the chip saw a wrong checksum"), ("FFFFFF", "nack", "nobody drives"), ("14681D", "crc", "0x14"),
     ("1568", "framing", "2 bytes"), ("16681A", "crc", "register")],
)  # fmt: skip
def test_an_answer_that_is_none_is_a_fault(reply: str, kind: str, text: str) -> None:
    with pytest.raises(BusFault) as caught:
        frames.value(bytes.fromhex("14FFF0"), bytes.fromhex(reply), crc=True)
    assert caught.value.kind == kind and text in str(caught.value)


def test_a_byte_that_was_written_otherwise_is_a_fault() -> None:
    with pytest.raises(BusFault, match="was written instead of"):
        frames.value(frames.write(0x66, 0x82, crc=False), bytes.fromhex("E683"), crc=False)


@fuzz
@given(st.binary(min_size=0, max_size=6), st.integers(0, 127), st.booleans())
def test_whatever_comes_is_a_byte_for_the_question_or_a_fault(reply: bytes, register: int, crc: bool) -> None:
    frame = frames.read(register, crc)
    try:
        value = frames.value(frame, reply, crc)
    except BusFault:
        return
    assert reply[:2] == bytes((register, value)) and len(reply) == len(frame)


# ------------------------------------------------------------------ a chip behind it
def wired(crc: bool = True) -> tuple[Assembly, object]:
    data = {"kind": "bq76952_spi", "shunt_mohm": 0.5, "crc": crc}
    parts = assemble(WorldSettings.model_validate({"series": 16, "afe": data}))
    return parts, registry.make_afe("bq76952_spi", parts.afe_bus, Settings(**(BQ76952 | {"crc": crc})), 16)


@pytest.mark.parametrize("crc", [True, False])
@pytest.mark.parametrize("ready_s", [0.0, 50e-6, 70e-6, 200e-6, 3e-3])
def test_a_chip_is_waited_for_as_long_as_it_takes(crc: bool, ready_s: float) -> None:
    async def main() -> None:
        parts, afe = wired(crc)
        parts.chip.ready_s = ready_s
        await afe.setup()
        await asyncio.sleep(0.5)
        scan = await afe.scan()
        assert scan.cell_v == pytest.approx(parts.plant.taps.cell_v, abs=0.003) and scan.conversions == 1

    run_manual(main())


def test_a_chip_that_is_never_ready_is_a_fault() -> None:
    async def main() -> None:
        parts, afe = wired()
        parts.chip.ready_s = 10.0
        with pytest.raises(BusFault, match="never ready"):
            await afe.setup()

    run_manual(main())


class Counting:
    """A chip at once ready, whose words all rise by ``step`` with every frame."""

    def __init__(self, step: int, start: int = 0x00F8) -> None:
        self.step, self.word, self.last = step, start, bytes(2)

    async def transfer(self, sent: Sequence[SpiFrame]) -> list[bytes]:
        return [self._frame(frame.data) for frame in sent]

    def _frame(self, data: bytes) -> bytes:
        self.word += self.step
        said, half = self.last, self.word >> 8 if data[0] & 1 else self.word & 0xFF
        self.last = bytes((data[0], half & 0xFF))
        return said

    def close(self) -> None: ...


@pytest.mark.parametrize("step", [0, 1, 2, 7])
def test_no_word_is_torn_by_a_conversion_between_its_halves(step: int) -> None:
    """0x00FF followed by 0x0100 must never be 0x01FF."""

    async def main() -> None:
        chip = Counting(step)
        words = np.frombuffer(await SpiWire(chip, crc=False).read(0x14, 40, words=True), dtype="<u2")
        assert (words <= chip.word).all() and (words >= 0x00F8).all()

    run_manual(main())


def test_words_that_never_hold_still_are_a_fault() -> None:
    async def main() -> None:
        with pytest.raises(BusFault, match="change while they are read"):
            await SpiWire(Counting(0x100), crc=False).read(0x14, 4, words=True)

    run_manual(main())
