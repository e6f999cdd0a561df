"""The walk from part to part, in this order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bms_daemon.app.probing.afe import afe_answers
from bms_daemon.app.probing.balance import wiring_order
from bms_daemon.app.probing.bench import Bench
from bms_daemon.app.probing.bus import can_bus
from bms_daemon.app.probing.cells import cells_are_quiet, cells_read, thermistors
from bms_daemon.app.probing.current import current_sensor
from bms_daemon.app.probing.finding import Finding, Level
from bms_daemon.app.probing.lines import lines
from bms_daemon.app.probing.power_path import power_path
from bms_daemon.ports import Afe


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the installation, or ``of_afe``: of a front end that answers."""

    name: str
    run: Callable[[Bench], Awaitable[list[Finding]]] | None = None
    of_afe: Callable[[Bench, Afe], Awaitable[list[Finding]]] | None = None

    async def found(self, bench: Bench) -> list[Finding]:
        """Nothing where it builds on a front end that does not answer."""
        found: list[Finding] = []
        if self.run is not None:
            found = await self.run(bench)
        elif self.of_afe is not None and bench.driver is not None:
            found = await self.of_afe(bench, bench.driver)
        bench.wrong += sum(finding.level is Level.WRONG for finding in found)
        return found


CHECKS = (
    Check("lines", lines),
    Check("front end", afe_answers),
    Check("cells", of_afe=cells_read),
    Check("noise", of_afe=cells_are_quiet),
    Check("temperatures", of_afe=thermistors),
    Check("wiring order", of_afe=wiring_order),
    Check("current", current_sensor),
    Check("CAN", can_bus),
    Check("power path", power_path),
)
