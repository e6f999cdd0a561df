"""``bms-daemon check``: read configurations, list every error, and say what follows from them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bms_daemon.commands._connect import CONFIGURATION, OK, settings_of
from bms_daemon.config.schema import Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = """Lists every error of every file, each with its key, its value and what would be right; for a good file
what follows from it: notes, and the limits of the chip as it rounds them."""
TIMING = "bounds, from the condition at the sensor: announce = decided and said on CAN, open = coil released"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "check", help="check configurations; nothing but the files is touched", description=DESCRIPTION
    )
    parser.add_argument("config", type=Path, nargs="+", metavar="CONFIG", help="configurations to check")
    parser.add_argument("--timing", action="store_true", help="print the bound of every reaction")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when every file is accepted, 78 when one is refused."""
    code = OK
    for path in args.config:
        settings = settings_of(path)
        if settings is None or not _frames_fit(path, settings):
            code = CONFIGURATION
            continue
        _report(path, settings, args.timing)
    return code


def _frames_fit(path: Path, settings: Settings) -> bool:
    """The identifiers and the user's own DBC, which only the CAN part can judge."""
    from bms_daemon.app import frames
    from bms_daemon.can.database import load

    try:
        frames.users(settings, load(settings.can.id_offset))
    except ValueError as error:
        print(f"{path}: can", *str(error).splitlines(), sep="\n  ", file=sys.stderr)
        return False
    return True


def _report(path: Path, settings: Settings, timing: bool) -> None:
    from bms_daemon.config.checks import advice
    from bms_daemon.config.load import config_hash
    from bms_daemon.config.pack_cell import pack_cell

    pack = settings.pack
    what = f"{pack.series}s {pack.chemistry.upper()}, {pack.capacity_ah:g} Ah, cells as {pack_cell(settings).cell.name}"
    print(f"{path}: good. {what}; configuration {config_hash(settings)[:12]}")
    for text in advice(settings):
        print(f"  note: {text}")
    hardware = settings.afe.settings.hardware_limits()
    for key, value in hardware.items():
        print(f"  hardware limit {key} = {value:.6g}")
    if timing:
        from bms_daemon.stages.bounds import table

        least = settings.afe.settings.scan_time(pack.series)
        print(
            f"a scan takes at least {1e3 * least.whole_s:.1f} ms of its {1e3 * settings.afe.scan_period_s:.0f} ms: "
            f"{1e3 * least.convert_s:.1f} ms of conversion, {1e3 * least.wire_s:.1f} ms of bytes"
        )
        print(TIMING)
        print(table(settings))
