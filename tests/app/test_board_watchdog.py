"""The board's watchdog: fed by good ticks alone, stopped only by an orderly end, and absent means exit 69."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest
from daemon_bench import daemon, manual, settings_in

from bms_daemon.app import build as composition
from bms_daemon.model import BusFault


class Board:
    """Stands for the device: counts what reaches it."""

    def __init__(self, device: Path, timeout_s: int) -> None:
        self.fed: list[float] = []
        self.closed = 0

    def feed(self, now_s: float) -> None:
        self.fed.append(now_s)

    def close_clean(self) -> None:
        self.closed += 1


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[Board]:
    made: list[Board] = []

    def open_board(device: Path, timeout_s: int) -> Board:
        made.append(Board(device, timeout_s))
        return made[-1]

    monkeypatch.setattr(composition, "HardwareWatchdog", open_board)
    return made


def test_good_ticks_feed_it_and_an_orderly_end_stops_it(tmp_path: Path, boards: list[Board]) -> None:
    async def live() -> None:
        async with daemon(settings_in(tmp_path, timing__watchdog_device=Path("/dev/watchdog"))) as here:
            await asyncio.sleep(0.5)
            assert len(boards[0].fed) > 20
            here.core.shutdown()
            await here.run

    manual(live)
    assert boards[0].closed == 1


def test_a_refused_output_starves_it(tmp_path: Path, boards: list[Board]) -> None:
    async def live() -> None:
        async with daemon(settings_in(tmp_path, timing__watchdog_device=Path("/dev/watchdog"))) as here:
            await here.close_pack()
            here.parts.lines.refused["main"] = "busy"
            here.orders.ask("open")
            await here.until(lambda: not here.seen[-1].actuated.ok)
            fed = len(boards[0].fed)
            await asyncio.sleep(0.05)
            assert len(boards[0].fed) == fed

    manual(live)
    assert boards[0].closed == 0


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.ENOENT, "gone", "dtparam=watchdog=on"),
        (errno.EACCES, "denied", "udev"),
        (errno.EBUSY, "busy", "RuntimeWatchdogSec="),
        (errno.EINVAL, "refused", "timing.watchdog_s"),
    ],
)
def test_a_device_that_cannot_be_had_is_named_with_what_to_do(
    number: int, kind: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(device: Path, timeout_s: int) -> None:
        raise OSError(number, "no")

    async def live() -> None:
        monkeypatch.setattr(composition, "HardwareWatchdog", refuse)
        settings = settings_in(tmp_path, timing__watchdog_device=Path("/dev/watchdog"))
        with pytest.raises(BusFault, match=hint) as caught:
            composition.build(settings)
        assert caught.value.kind == kind and "/dev/watchdog" in str(caught.value)
        assert not settings.link.socket.exists(), "what was opened before is closed again"

    manual(live)
