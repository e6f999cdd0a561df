"""``bms-daemon commission``: approve this configuration for this pack; the first start needs it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, FAILED, OK, settings_of

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = """Writes the configuration's hash into the pack's journal: without it, or after a change of the file, the
pack stays open. What the journal knows of the pack stays, latched faults included. The core must not be running."""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("commission", help="approve a configuration for its pack", description=DESCRIPTION)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configuration to approve")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the journal with the configuration's hash. What the journal holds of the pack stays, latches included."""
    from bms_daemon.app.keeper import commissioned
    from bms_daemon.config.load import config_hash
    from bms_daemon.runtime.journal import Journal, JournalError
    from bms_daemon.runtime.lock import AlreadyRunning, InstanceLock

    settings = settings_of(args.config)
    if settings is None:
        return CONFIGURATION
    lock = InstanceLock(settings.link.socket)
    try:
        settings.link.socket.parent.mkdir(parents=True, exist_ok=True)
        settings.journal.path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        journal = Journal(settings.journal.path)
        loaded = journal.load()
        journal.save(commissioned(loaded.survivor, config_hash(settings)))
    except (AlreadyRunning, JournalError, OSError) as error:
        print(f"not commissioned: {error}", file=sys.stderr)
        return FAILED
    finally:
        lock.release()
    print(f"{settings.node.name}: configuration {config_hash(settings)[:12]} approved, journal {settings.journal.path}")
    print(f"journal before: {loaded.note}")
    return OK
