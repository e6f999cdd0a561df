"""The rig's back door: one JSON object a line on a Unix socket, one answer a line.

``{"do": "inject", "fault": "chip_mute", "args": {}}``, with ``"for_s": 0.01`` if it is to pass by itself; ``clear``
likewise, ``faults``, ``state``. ``trace``: changes of the coils as the gate knows them and of the output lines as the
rig saw them, from ``after_s`` on; ``late_s`` is by how much the longest time between two looks at the lines was beyond
its period, since the last request with ``"reset": true``. An answer holds ``at_s`` on the kernel's monotonic clock, as
all times are, or ``error``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

from bms_daemon.sim import faults
from bms_daemon.sim.assembly import Assembly
from bms_daemon.sim.rig.arguments import OFFERED, checked, choice, number
from bms_daemon.sim.rig.pins import Pins

LONGEST_S = 86400.0  # that a fault may be asked to stand
Request = dict[str, Any]


class Control:
    """Answers requests about one rig."""

    def __init__(self, assembly: Assembly, pins: Pins) -> None:
        self._assembly, self._pins = assembly, pins
        self._verbs: dict[str, Callable[[Request], Request]] = {
            "inject": self._inject,
            "clear": self._clear,
            "faults": self._faults,
            "state": self._state,
            "trace": self._trace,
        }

    async def listen(self, path: Path) -> asyncio.Server:
        """From now on there is a back door."""
        return await asyncio.start_unix_server(self._talk, path)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # who left, or sends a line without end
        finally:
            writer.close()

    def answer(self, line: bytes) -> Request:
        """The answer to one line; never raises, whatever a client sends."""
        try:
            request = json.loads(line)
            verb = self._verbs[request["do"]]
            self._assembly.world.sync_now()
            return {"at_s": self._assembly.world.now_s, **verb(request)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}; verbs are {', '.join(self._verbs)}"}

    def _inject(self, request: Request) -> Request:
        """For good, or for ``for_s`` seconds: a flicker is shorter than a client's way there and back."""
        args = checked(self._assembly.plant.settings, request["fault"], request.get("args", {}))
        for_s = request.get("for_s")
        if for_s is not None:
            number(for_s, 0.0, LONGEST_S)
        faults.inject(self._assembly, request["fault"], **args)
        if for_s is not None:
            asyncio.get_running_loop().call_later(for_s, self._clear, request)
        return {"at_s": self._assembly.world.now_s}

    def _clear(self, request: Request) -> Request:
        if request["fault"] not in OFFERED:
            raise KeyError(request["fault"])
        faults.clear(self._assembly, request["fault"])
        return {}

    def _faults(self, request: Request) -> Request:
        return {"faults": {name: fault.text for name, fault in OFFERED.items()}}

    def _state(self, request: Request) -> Request:
        taps, world = self._assembly.plant.taps, self._assembly.world
        coil = self._assembly.gate.coil(world.now_s)
        return {
            "main_coil": coil.main,
            "precharge_coil": coil.precharge,
            "main_closed": self._assembly.plant.path.main.closed,
            "cell_v": [round(float(v), 4) for v in taps.cell_v],
            "pack_v": taps.pack_v,
            "link_v": taps.link_v,
            "current_a": taps.current_a,
            "lines": dict(self._assembly.lines.levels),
            "board": self._pins.board,
        }

    def _trace(self, request: Request) -> Request:
        after_s = number(request.get("after_s", 0.0), -inf, inf)
        reset = choice(request.get("reset", False), (True, False))
        return {
            "coils": [change for change in self._assembly.gate.trace if change[0] >= after_s],
            "lines": [change for change in self._pins.trace if change[0] >= after_s],
            "late_s": self._pins.late_s(reset),
        }
