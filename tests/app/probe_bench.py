"""Shipped configurations under ``probe``, on simulated packs that something may be wrong with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pack_bench import CONFIGURATIONS

from bms_daemon.app import load_settings
from bms_daemon.app.hardware import Hardware
from bms_daemon.app.keeper import commission_afresh
from bms_daemon.app.probing.bench import Bench
from bms_daemon.app.probing.finding import Finding
from bms_daemon.app.probing.walk import CHECKS
from bms_daemon.app.simulated import simulated
from bms_daemon.config.schema import Settings
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble

SHIPPED = ("bbb-96s-nmc-car", "raspberry-pi-16s-lfp", "pi-12s-scooter", "portable-4s-sbs", "mini-4s")
Spoil = Callable[[Assembly], None]
Found = list[tuple[str, Finding]]


def nothing(_: Assembly) -> None:
    """A pack as it should be."""


def probed(
    folder: Path,
    name: str,
    spoil: Spoil = nothing,
    afe: dict[str, Any] | None = None,
    contactors: bool = False,
    commissioned: bool = True,
) -> Found:
    """Every finding; the world is that of the shipped file, ``afe`` changes what the daemon believes of it."""
    settings = simulated(load_settings(CONFIGURATIONS / f"{name}.toml"), folder)
    assert settings.sim is not None
    if commissioned:
        commission_afresh(settings)
    found: Found = []

    async def main() -> None:
        parts = assemble(settings.sim.world)  # type: ignore[union-attr, arg-type]
        spoil(parts)
        hardware = Hardware(parts.afe_bus, parts.shunt_port, parts.lines, parts.world)
        bench = Bench(_believing(settings, afe or {}), hardware, contactors=contactors)
        for check in CHECKS:
            found.extend((check.name, finding) for finding in await check.found(bench))
        assert not parts.gate.coil(parts.world.now_s)[0]

    run_manual(main())
    return found


def _believing(settings: Settings, afe: dict[str, Any]) -> Settings:
    table = settings.afe.settings.model_copy(update=afe)
    return settings.model_copy(update={"afe": settings.afe.model_copy(update={"settings": table})})
