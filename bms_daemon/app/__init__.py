"""The daemon's composition: what of the package runs together, and on which configuration."""

from __future__ import annotations

from pathlib import Path

from bms_daemon.config.load import load
from bms_daemon.config.schema import Settings
from bms_daemon.config.section import Section
from bms_daemon.drivers import registry


def load_settings(path: Path) -> Settings:
    """A configuration with its drivers' own tables. Raises bms_daemon.config.load.ConfigError with every error."""
    return load(path, _model_of)


def _model_of(role: str, kind: str) -> type[Section]:
    if role != "world":
        return registry.settings_model(role, kind)
    from bms_daemon.sim.settings import WorldSettings

    return WorldSettings
