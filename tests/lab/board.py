"""A board for one test: the rig with its devices, the bus with candump on it, the deployed daemon as its unit."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any

from rig import ROOT, Failed, Rig, until
from unit import Unit

from bms_daemon.runtime.link_client import LinkClient
from bms_daemon.runtime.messages import Action

SABOTEUR = Path(__file__).parent / "saboteur"
ETC = Path("/etc/bms-daemon")
DBC = ROOT / "dbc" / "bms.dbc"
CANTOOLS = Path(sys.executable).parent / "cantools"
COMMISSIONED = Path("/run/commissioned")
DAEMON = "/usr/local/bin/bms-daemon"
LOAD_A = -20.0  # of the rig
FLOWS = 0.75  # of the load, which takes no more than the limits allow


class Board:
    """Files in ``folder``: core.log, rig.log, can.log. Everything that was started ends with ``close``.

    ``shipped`` names the configuration, ``edits`` change it, and with ``rig_edits`` the wiring too. ``saboteur`` puts a
    defect into the core that two signals bring out. ``current_a``: what the rig's outside draws or gives.
    """

    def __init__(
        self,
        folder: Path,
        kind: str = "pi",
        edits: Mapping[str, str] | None = None,
        rig_edits: bool = True,
        saboteur: bool = False,
        shipped: str = "raspberry-pi-16s-lfp",
        current_a: float = LOAD_A,
    ) -> None:
        self.folder = folder
        file = ROOT / "config" / f"{shipped}.toml"
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        self.journal, self.link = Path(table["journal"]["path"]), Path(table["link"]["socket"])
        self.config = ETC / f"{table['node']['name']}.toml"
        self._current_a = current_a
        self._environment = {"PYTHONPATH": str(SABOTEUR)} if saboteur else {}
        self.can_log = folder / "can.log"
        self.unit: Unit | None = None
        self._starts = itertools.count()
        self._install(file.read_text(encoding="utf-8"), edits or {})
        with contextlib.ExitStack() as self._stack:
            self.rig = Rig(folder / "rig.log", kind, self.config if rig_edits else file, current_a)
            self._stack.callback(self.rig.close)
            with self.can_log.open("wb") as log:
                self.run_beside(["candump", "-L", "can0"], stdout=log)
            self._stack = self._stack.pop_all()

    def _install(self, text: str, edits: Mapping[str, str]) -> None:
        """What docs/deploy.md says, with a configuration as it is shipped, but for ``edits``."""
        shutil.rmtree(self.journal.parent, ignore_errors=True)
        for folder in (ETC, self.journal.parent, self.link.parent):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.chown(folder, "bms-core", "bms")
        for old, new in edits.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.config.write_text(text, encoding="utf-8")
        self.config.chmod(0o644)

    def run_beside(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """A process that ends with the board."""
        process = subprocess.Popen(command, **options)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def commission(self) -> None:
        """``bms-daemon commission``, once for each configuration: what it left behind serves the other boards."""
        kept = COMMISSIONED / hashlib.sha256(self.config.read_bytes()).hexdigest()
        if kept.exists():
            shutil.copytree(kept, self.journal.parent, dirs_exist_ok=True)
        else:
            call("commission", self.config)
            shutil.copytree(self.journal.parent, kept)
        for file in self.journal.parent.iterdir():
            shutil.chown(file, "bms-core", "bms")

    def start(self) -> Unit:
        self.unit = Unit(self.config.stem, self.folder / "core.log", self._environment)
        self._stack.callback(self.unit.close)
        return self.unit

    def ready(self) -> Unit:
        """A commissioned core that has said READY."""
        if not list(self.journal.parent.glob(f"{self.journal.name}.?")):
            self.commission()
        unit = self.start()
        until(lambda: unit.ready_s < inf or unit.process.poll() is not None, "READY=1")
        if unit.process.poll() is not None:
            raise Failed(f"the core ended with {unit.process.returncode}: {unit.log[-2000:]}")
        return unit

    def closed(self) -> Unit:
        """A core that has closed the pack on request, with a load on it."""
        unit = self.ready()
        until(lambda: self.state == "standby", "standby")
        until(lambda: self.ask("open") and self.ask("close"), "a close that is accepted", every_s=0.2)
        until(lambda: self.state == "closed" and self.rig.closed, "closed")
        self.loaded()
        return unit

    def loaded(self) -> None:
        """Wait until the load flows and the daemon has seen it."""
        until(lambda: self.rig.ask("state")["current_a"] / self._current_a > FLOWS, "a load that flows")
        time.sleep(0.3)

    @property
    def state(self) -> str:
        """The pack's state, as the unit's status says it."""
        assert self.unit is not None
        lines = [line.removeprefix("STATUS=") for _, line in tuple(self.unit.said) if line.startswith("STATUS=")]
        return lines[-1] if lines else ""

    def request(self, *words: str) -> None:
        """``bms-daemon request``. Raises Failed with the reason of a refusal."""
        call("request", *words, self.config)

    def ask(self, action: Action, code: str = "") -> bool:
        """The same over the link, without a process of its own; whether it was accepted."""

        async def main() -> bool:
            async with LinkClient(self.link) as link:
                return (await link.request(action, code, 5.0)).accepted

        return asyncio.run(main())

    def status(self) -> str:
        """``bms-daemon status`` as text."""
        return call("status", self.config).stdout

    def snapshot(self) -> dict[str, Any]:
        """The next one on the link. Raises LinkUnavailable when there is no core."""

        async def main() -> dict[str, Any]:
            async with LinkClient(self.link) as link, asyncio.timeout(5.0):
                while True:
                    message = await anext(link)
                    if message["kind"] == "snapshot":
                        return message

        return asyncio.run(main())

    def conversions(self) -> tuple[float, int]:
        """How many the AFE has proved since the start, and when that was; seconds of the core's clock."""
        shot = until(lambda: self._with_cells(self.snapshot()), "a scan that is believed", 5.0)
        return float(shot["now_s"]), int(shot["measured"]["cells"]["value"]["conversions"])

    @staticmethod
    def _with_cells(shot: dict[str, Any]) -> dict[str, Any] | None:
        return shot if shot["measured"]["cells"]["quality"] == "good" else None

    def codes(self) -> set[str]:
        """Codes of the active and of the latched faults."""
        faults = self.snapshot()["faults"]
        return {fault["code"] for fault in faults["active"]} | set(faults["latched"])

    def refused_frames(self) -> int:
        """CAN frames that the core has refused since its start."""
        return int(self.snapshot()["measured"]["can"]["rejected"])

    def timing(self) -> dict[str, Any]:
        """The core's own lateness record."""
        found: dict[str, Any] = self.snapshot()["timing"]
        return found

    @contextlib.contextmanager
    def listening(self) -> Iterator[Callable[[], list[str]]]:
        """A candump of its own from now on: the lines so far."""
        log = self.folder / f"listen-{next(self._starts)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(["candump", "-L", "can0"], stdout=file)
        try:
            yield lambda: log.read_text().splitlines()
        finally:
            process.kill()
            process.wait()

    def times_of(self, frame_id: int, since_s: float) -> list[float]:
        """Wall times at which candump saw an identifier in the last seconds."""
        rows = [line.split() for line in self.can_log.read_text().splitlines() if f" {frame_id:03X}#" in line]
        times = [float(row[0].strip("()")) for row in rows]
        return [at_s for at_s in times if at_s >= time.time() - since_s]

    def values(self, message: str, signal: str) -> list[float]:
        """Every value of a signal that cantools found in the log."""
        found = (re.search(rf"\b{signal}: (-?[\d.]+)", line) for line in decoded(self.can_log) if message in line)
        return [float(match[1]) for match in found if match]

    def close(self) -> None:
        """End every unit, then the rest, the rig last."""
        self._stack.close()


def call(*words: object, user: str = "bms-core") -> subprocess.CompletedProcess[str]:
    """``bms-daemon WORDS`` as the unit's user. Raises Failed with what it said."""
    command = [DAEMON, *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, user=user, group="bms", extra_groups=[], cwd="/"
    )
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.returncode}: {done.stdout}{done.stderr}")
    return done


def changed_lines(edits: Mapping[str, str]) -> list[str]:
    """What edits put into the configuration."""
    return [line for old, new in edits.items() for line in new.splitlines() if line not in old.splitlines()]


def decoded(log: Path) -> Iterator[str]:
    """What ``cantools decode`` makes of a candump log, a frame a line."""
    with log.open("rb") as file:
        done = subprocess.run(
            [CANTOOLS, "decode", "--single-line", str(DBC)],
            stdin=file, capture_output=True, text=True, check=True,
        )  # fmt: skip
    yield from done.stdout.splitlines()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def restore() -> None:
    """The interface and the node, for the tests that follow."""
    if subprocess.run(["ip", "link", "show", "can0"], capture_output=True, check=False).returncode:
        ip("link", "add", "dev", "can0", "type", "vcan")
        ip("link", "set", "can0", "up")
    if (moved := Path("/dev/i2c-7")).exists():
        moved.rename("/dev/i2c-1")
