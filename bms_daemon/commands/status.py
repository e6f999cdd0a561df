"""``bms-daemon status``: what the core sees now, as a table or as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING, Any

from bms_daemon.commands._connect import OK, add_target, waiting, with_link
from bms_daemon.commands._text import lasts, words
from bms_daemon.runtime.link_client import LinkClient, LinkUnavailable
from bms_daemon.runtime.log import printable

if TYPE_CHECKING:
    from argparse import _SubParsersAction

WAIT_S = 5.0
WAYS = ("charge", "discharge")
TEN_S = 2  # place of the horizon of 10 s
CLEAR = "\x1b[H\x1b[J"
DESCRIPTION = "Shows state, charge, limits with what binds them, the age of every source, and faults."


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("status", help="show what the core sees now", description=DESCRIPTION)
    add_target(parser)
    parser.add_argument("--json", action="store_true", help="the whole snapshot, one line each")
    parser.add_argument("--watch", action="store_true", help="again with every snapshot, until interrupted")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0, 69 when the core does not answer or sends nothing, 78 for the configuration."""
    return with_link(args, lambda link: _show(link, args.json, args.watch))


async def _show(link: LinkClient, as_json: bool, watch: bool) -> int:
    while True:
        snapshot = await _next_snapshot(link)
        if as_json:
            print(json.dumps(snapshot), flush=True)
        else:
            print((CLEAR if watch else "") + table(snapshot), flush=True)
        if not watch:
            return OK


async def _next_snapshot(link: LinkClient) -> dict[str, Any]:
    try:
        async with asyncio.timeout(WAIT_S):
            with waiting("the core's next snapshot"):
                return await _snapshot(link)
    except TimeoutError:
        raise LinkUnavailable(f"the core answers but has sent no snapshot for {WAIT_S:g} s") from None


async def _snapshot(link: LinkClient) -> dict[str, Any]:
    while True:
        message = await anext(link)
        if message.get("kind") == "snapshot":
            return message


def table(snapshot: dict[str, Any]) -> str:
    """A snapshot in the link's form as lines for a person."""
    rows = [*_pack(snapshot), *_limits(snapshot["limits"]), *_sources(snapshot["measured"])]
    lines = [f"{name:<17}{text}" for name, text in rows]
    return "\n".join(printable(line) for line in [*lines, *_faults(snapshot["faults"])])


def _number(value: float | None, unit: str, digits: int = 1) -> str:
    return "unknown" if value is None else f"{value:.{digits}f} {unit}"


def _pack(snapshot: dict[str, Any]) -> list[tuple[str, str]]:
    control, estimate, measured = snapshot["control"], snapshot["estimate"], snapshot["measured"]
    scan = measured["cells"]["value"] or {}
    temps = measured["temps"]["value"] or {}
    reason = f" ({control['reason']})" if control["reason"] else ""
    pending = f", opens in {control['countdown_s']:.1f} s" if control["open_pending"] else ""
    return [
        ("node", f"{snapshot['node']}, tick {snapshot['tick']}"),
        ("state", f"{control['state']}{reason}{pending}"),
        ("soc", _soc(estimate)),
        ("left", _left(estimate)),
        ("health", _health(estimate["ageing"])),
        ("power for 10 s", _power(estimate["power"])),
        ("current", _number(measured["current_a"], "A") + " (positive: charging)"),
        ("pack", f"{_number(measured['pack_v'], 'V')}, link {_number(measured['link_v'], 'V')}"),
        ("cells", _range(scan.get("cell_v"), "V", 3)),
        ("probes", _range(temps.get("probe_degc"), "degC", 1)),
    ]


def _soc(estimate: dict[str, Any]) -> str:
    if not estimate["soc_valid"] or estimate["soc"] is None:
        return "unknown"
    return f"{100.0 * estimate['soc']:.1f} % +- {100.0 * estimate['soc_sigma']:.1f} %"


def _left(estimate: dict[str, Any]) -> str:
    found = estimate["remaining"]
    if found is None or not estimate["soc_valid"]:
        return "unknown"
    span = lasts(found["time_to_empty_s"], found["time_to_full_s"])
    return f"{found['energy_wh'] / 1000.0:.2f} kWh, {found['charge_ah']:.1f} Ah at the present load, {span}"


def _health(ageing: dict[str, Any] | None) -> str:
    if ageing is None:
        return "unknown"
    capacity = f"capacity {100.0 * ageing['soh']:.1f} % +- {100.0 * ageing['soh_sigma']:.1f} %"
    growth = f"resistance {100.0 * ageing['growth']:.0f} % +- {100.0 * ageing['growth_sigma']:.0f} %"
    return f"{capacity}, {growth} (from: {words(ageing['why'])})"


def _power(power: dict[str, Any] | None) -> str:
    if power is None:
        return "unknown"
    ways = (f"{way} {power[f'{way}_w'][TEN_S] / 1000.0:.2f} kW: {power[f'{way}_binding'][TEN_S]}" for way in WAYS)
    return ", ".join(ways)


def _range(values: list[float | None] | None, unit: str, digits: int) -> str:
    """Lowest and highest of the known values, each with its number from 1."""
    known = [(value, index) for index, value in enumerate(values or (), 1) if value is not None]
    if not known:
        return "unknown"
    (low, low_at), (high, high_at) = min(known), max(known)
    missing = len(values or ()) - len(known)
    tail = f", {missing} unknown" if missing else ""
    return f"{low:.{digits}f} {unit} (#{low_at}) to {high:.{digits}f} {unit} (#{high_at}){tail}"


def _limits(limits: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (f"{way} limit", f"{_number(limits[f'{way}_a'], 'A')}, {_number(limits[f'{way}_w'], 'W', 0)}: {binding}")
        for way in WAYS
        for binding in (limits[f"{way}_binding"],)
    ]


def _sources(measured: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, f"{channel['quality']}, {_number(channel['age_s'], 's old', 2)} {channel['reason']}".rstrip())
        for name in ("cells", "temps", "shunt", "pins", "vcu")
        for channel in (measured[name],)
        if channel["age_s"] is not None or channel["reason"] != "never seen"
    ]


def _faults(faults: dict[str, Any]) -> list[str]:
    lines = [_fault(fault) for fault in faults["active"]]
    active = {fault["code"] for fault in faults["active"]}
    lines += [f"  {code}: latched, cause gone; clear it by request" for code in faults["latched"] if code not in active]
    return ["faults", *lines] if lines else ["no faults"]


def _fault(fault: dict[str, Any]) -> str:
    where = f" at #{fault['where']}" if fault["where"] else ""
    head = f"  {fault['code']}: {fault['reaction']}{', latched' if fault['latched'] else ''}{where}"
    return head + _compared(fault["value"], fault["limit"])


def _compared(value: float | None, limit: float | None) -> str:
    from bms_daemon.app.events import yes_or_no

    if yes_or_no(value, limit):
        return ""
    return ("" if value is None else f", {value:.4g}") + ("" if limit is None else f" against {limit:.4g}")
