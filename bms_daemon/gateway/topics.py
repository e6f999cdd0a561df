"""Snapshots as MQTT messages: which topic carries what. Pure.

``<topic>/<site>/<node>/`` then ``state``, ``limits``, ``cells``, ``estimate``, ``event`` (QoS 1), ``availability`` and
``info`` (retained), ``cmd/<name>`` and ``cmd/<name>/reply``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bms_daemon.config.schema import Mqtt, Node
from bms_daemon.runtime.messages import ACTIONS

ONLINE = b"online"
OFFLINE = b"offline"
LEAVES = ("state", "limits", "cells", "estimate")


def base_of(mqtt: Mqtt, node: Node) -> str:
    """The root of a node's topics."""
    return f"{mqtt.topic}/{node.site}/{node.name}"


def command_of(base: str, topic: str) -> str | None:
    """The command's name in ``<base>/cmd/<name>``; None when the topic is no known command."""
    name = topic.removeprefix(f"{base}/cmd/")
    return name if name != topic and name in ACTIONS else None


def messages_of(snapshot: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Leaf topic to payload for one snapshot in the link's form; what is not known is null."""
    head = {"node": snapshot["node"], "tick": snapshot["tick"]}
    return {
        "state": head | _state(snapshot),
        "limits": head | dict(snapshot["limits"]),
        "cells": head | _cells(snapshot),
        "estimate": head | _estimate(snapshot["estimate"]),
    }


def _state(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    measured, control = snapshot["measured"], snapshot["control"]
    scan = measured["cells"]["value"] or {}
    faults = snapshot["faults"]
    return {
        "state": control["state"],
        "reason": control["reason"],
        "open_pending": control["open_pending"],
        "countdown_s": control["countdown_s"],
        "closed": snapshot["actuated"]["main"],
        "soc": snapshot["estimate"]["soc"] if snapshot["estimate"]["soc_valid"] else None,
        "current_a": measured["current_a"],
        "pack_v": measured["pack_v"],
        "link_v": measured["link_v"],
        "cell_min_v": _extreme(scan.get("cell_v"), min),
        "cell_max_v": _extreme(scan.get("cell_v"), max),
        "temp_min_degc": _extreme(_probes(measured), min),
        "temp_max_degc": _extreme(_probes(measured), max),
        "faults": [fault["code"] for fault in faults["active"]],
        "latched": faults["latched"],
    }


def _estimate(estimate: Mapping[str, Any]) -> dict[str, Any]:
    """Charge, health, power and energy of the pack; what follows from a charge that is not valid is null."""
    doubtful = () if estimate["soc_valid"] else ("soc", "remaining")
    return {name: None if name in doubtful else value for name, value in estimate.items() if name != "cells"}


def _cells(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    cells, temps = snapshot["measured"]["cells"], snapshot["measured"]["temps"]
    return {
        "cell_v": (cells["value"] or {}).get("cell_v"),
        "cell_quality": cells["quality"],
        "cell_soc": (snapshot["estimate"]["cells"] or {}).get("soc") if snapshot["estimate"]["soc_valid"] else None,
        "probe_degc": _probes(snapshot["measured"]),
        "probe_quality": temps["quality"],
    }


def _probes(measured: Mapping[str, Any]) -> list[float | None] | None:
    return (measured["temps"]["value"] or {}).get("probe_degc")


def _extreme(values: list[float | None] | None, pick: Any) -> float | None:
    """The lowest or highest of the known values."""
    known = [value for value in values or () if value is not None]
    return pick(known) if known else None
