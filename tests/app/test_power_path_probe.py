"""``probe --contactors``: a good path is closed and opened once, a bad one is named, and nobody's coil stays on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pack_bench import CONFIGURATIONS
from probe_bench import SHIPPED, Spoil, nothing, probed

from bms_daemon.app import load_settings
from bms_daemon.app.hardware import Hardware
from bms_daemon.app.keeper import commission_afresh
from bms_daemon.app.probing.bench import Bench
from bms_daemon.app.probing.finding import Finding, Level
from bms_daemon.app.probing.power_path import power_path
from bms_daemon.app.simulated import simulated
from bms_daemon.runtime.clock import run_manual
from bms_daemon.sim.assembly import Assembly, assemble
from bms_daemon.sim.faults import inject


def path_of(found: list[tuple[str, Finding]]) -> list[Finding]:
    return [finding for check, finding in found if check == "power path"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_good_path_closes_and_opens_with_nothing_wrong(tmp_path: Path, name: str) -> None:
    findings = path_of(probed(tmp_path, name, contactors=True))
    assert not [finding for finding in findings if finding.level is Level.WRONG]
    texts = "\n".join(finding.what for finding in findings)
    if name == "mini-4s":
        assert "the pack closed" in texts
    else:
        assert "precharged to" in texts and "precharge_aux closes" in texts and "a discharge is negative" in texts
    assert ("main_negative_aux closes" in texts) is (name == "bbb-96s-nmc-car")


def _inject(name: str) -> Spoil:
    return lambda assembly: inject(assembly, name)


def _reversed(assembly: Assembly) -> None:
    assembly.talker.faults.inverted = True


WRONG: dict[str, tuple[str, Spoil, str, str]] = {
    "open resistor": ("pi-12s-scooter", _inject("precharge_open"), "precharge took too long", "resistor whole"),
    "no capacitor": ("pi-12s-scooter", _inject("no_capacitor"), "precharge too fast", "inverter connected"),
    "a load": ("pi-12s-scooter", _inject("precharge_load"), "precharge took too long", "load hang"),
    "relay": ("raspberry-pi-16s-lfp", _inject("precharge_coil_broken"), "precharge_aux does not follow", "coil driven"),
    "coil": ("raspberry-pi-16s-lfp", _inject("coil_broken"), "main_not_closing", "docs/faults.md"),
    "contact": ("raspberry-pi-16s-lfp", _inject("aux_broken"), "main_aux does not follow", "contact wired"),
    "turned sensor": ("bbb-96s-nmc-car", _reversed, "the current has the wrong sign", "inverted = true"),
    "live link": ("pi-12s-scooter", _inject("live_link"), "link_live", "chargers and inverters off"),
}


@pytest.mark.parametrize(("name", "spoil", "what", "mend"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_path_is_named(tmp_path: Path, name: str, spoil: Spoil, what: str, mend: str) -> None:
    wrong = [f for f in path_of(probed(tmp_path, name, spoil, contactors=True)) if f.level is Level.WRONG]
    assert any(what in finding.what and mend in finding.mend for finding in wrong), wrong


LEFT_OUT: dict[str, tuple[Spoil, dict[str, Any], str]] = {
    "nobody allowed it": (nothing, {}, "--contactors"),
    "something else is wrong": (_inject("interlock"), {"contactors": True}, "mend what is wrong"),
}


@pytest.mark.parametrize(("spoil", "options", "what"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_path_is_left_alone(tmp_path: Path, spoil: Spoil, options: dict[str, Any], what: str) -> None:
    written: list[dict[str, bool]] = []

    def watched(assembly: Assembly) -> None:
        spoil(assembly)
        write = assembly.lines.write
        assembly.lines.write = lambda levels: (written.append(levels), write(levels))[1]  # type: ignore[method-assign]

    (finding,) = path_of(probed(tmp_path, "bbb-96s-nmc-car", watched, **options))
    assert finding.level is Level.NOTE and what in finding.what
    assert not [levels for levels in written if any(levels.values())]


def test_a_pack_that_was_never_commissioned_says_how(tmp_path: Path) -> None:
    (finding,) = path_of(probed(tmp_path, "pi-12s-scooter", contactors=True, commissioned=False))
    assert finding.level is Level.WRONG and "journal_missing" in finding.what and "commission" in finding.mend


def test_a_core_that_breaks_is_told_and_leaves_the_coil_released(tmp_path: Path) -> None:
    def breaking(assembly: Assembly) -> None:
        async def run() -> None:
            await asyncio.sleep(2.0)
            raise RuntimeError("broken clockwork")

        assembly.world.run = run  # type: ignore[method-assign]

    (finding,) = path_of(probed(tmp_path, "pi-12s-scooter", breaking, contactors=True))
    assert finding.level is Level.WRONG and "broken clockwork" in finding.what


def test_a_bus_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    settings = simulated(load_settings(CONFIGURATIONS / "pi-12s-scooter.toml"), tmp_path)
    settings = settings.model_copy(
        update={"can": settings.can.model_copy(update={"interface": "socketcan", "channel": "absent0"})}
    )

    async def main() -> list[Finding]:
        parts = assemble(settings.sim.world)  # type: ignore[union-attr, arg-type]
        hardware = Hardware(parts.afe_bus, parts.shunt_port, parts.lines, parts.world)
        return await power_path(Bench(settings, hardware, contactors=True))

    (finding,) = run_manual(main())
    assert finding.level is Level.WRONG and "absent0" in finding.what and finding.mend


def test_who_ends_it_while_the_pack_is_closed_gets_it_opened_in_good_order(tmp_path: Path) -> None:
    settings = simulated(load_settings(CONFIGURATIONS / "bbb-96s-nmc-car.toml"), tmp_path)
    commission_afresh(settings)

    async def main() -> None:
        parts = assemble(settings.sim.world)  # type: ignore[union-attr, arg-type]
        hardware = Hardware(parts.afe_bus, parts.shunt_port, parts.lines, parts.world)
        task = asyncio.ensure_future(power_path(Bench(settings, hardware, contactors=True)))
        for _ in range(3000):
            await asyncio.sleep(0.01)
            if parts.gate.coil(parts.world.now_s)[0]:
                break
        await asyncio.sleep(0.5)
        assert parts.gate.coil(parts.world.now_s)[0]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not parts.gate.coil(parts.world.now_s)[0]

    run_manual(main())
