"""What a configuration makes of the DBC: the node's own frames, the user's, and who they say that it is."""

from __future__ import annotations

from typing import Any

from bms_daemon import __version__
from bms_daemon.can import mapping
from bms_daemon.can.database import Database
from bms_daemon.can.schedule import Outgoing
from bms_daemon.can.signals import Identity
from bms_daemon.can.transmit import Transmitter
from bms_daemon.config.schema import Settings


def transmitter(settings: Settings, database: Database, configuration: str) -> Transmitter:
    """What sends this node's frames. Raises ValueError with everything that is wrong with the user's."""
    return Transmitter(database, settings.can, _sender(settings, configuration), users(settings, database))


def users(settings: Settings, database: Database) -> list[Outgoing]:
    """The frames of the user's own DBC. Raises ValueError with everything that is wrong with them, a line each."""
    if settings.can.user_dbc is None:
        return []
    taken = [database.frame_id(message.name) for message in database.sent()]
    found, errors = mapping.load(settings.can.user_dbc, taken)
    if errors:
        raise ValueError("\n".join(errors))
    return found


def _sender(settings: Settings, configuration: str) -> Identity:
    major, minor, patch = (int(part) for part in __version__.split(".")[:3])
    probes = settings.afe.settings.probe_count
    profile = 1 if settings.node.profile == "vehicle" else 0
    return Identity(
        settings.node.id, profile, settings.pack.series, probes, (major, minor, patch), int(configuration[:8], 16)
    )


def identity(settings: Settings, database: Database, configuration: str) -> dict[str, Any]:
    """Who this node is, as snapshots on the link say it."""
    return {
        "name": settings.node.name,
        "site": settings.node.site,
        "version": __version__,
        "configuration": configuration,
        "dbc": database.sha256.hex(),
        "dbc_version": list(database.version),
    }
