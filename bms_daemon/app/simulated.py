"""Any configuration in the closed loop: the same settings, with a simulated world in place of every device."""

from __future__ import annotations

from pathlib import Path

from bms_daemon.config.schema import Settings, SimSection
from bms_daemon.sim.derive import world_of


def simulated(
    settings: Settings, folder: Path, current_a: float = 0.0, soc: float = 0.6, manager: bool = False
) -> Settings:
    """``settings`` on a simulated pack and a bus inside the process, its files in ``folder``.

    ``manager``: an energy manager on that bus asks the pack to close; without one no controller need speak.
    """
    world = world_of(settings.plain(), current_a=current_a, soc=soc)
    shunt = settings.shunt
    placed = settings.model_copy(
        update={
            "afe": settings.afe.model_copy(update={"bus": "sim"}),
            "shunt": None if shunt is None else shunt.model_copy(update={"port": "sim"}),
            "gpio": settings.gpio.model_copy(update={"chip": "sim"}),
            "can": settings.can.model_copy(update={"interface": "virtual", "channel": settings.node.name}),
            "journal": settings.journal.model_copy(update={"path": folder / "journal"}),
            "link": settings.link.model_copy(update={"socket": folder / "link.sock"}),
            "sim": SimSection(world=world, manager=manager),
        }
    )
    return placed if manager else alone(placed)


def alone(settings: Settings) -> Settings:
    """A simulated pack with nobody else on its bus, and nobody missed."""
    assert settings.sim is not None
    return settings.model_copy(
        update={
            "can": settings.can.model_copy(update={"vcu": "optional"}),
            "sim": settings.sim.model_copy(update={"manager": False}),
        }
    )
