"""What goes to which topic, and what never goes out."""

from __future__ import annotations

from typing import Any

import pytest

from bms_daemon.config.schema import Mqtt, Node
from bms_daemon.gateway.topics import base_of, command_of, messages_of

GOOD = {"quality": "good", "age_s": 0.1, "reason": "", "refused": 0}


ESTIMATE = {
    "soc": 0.5,
    "soc_sigma": 0.02,
    "soc_valid": True,
    "ageing": {"soh": 0.97},
    "remaining": {"energy_wh": 2600.0},
    "cells": {"soc": [0.5, 0.52, 0.51]},
}


def snapshot(**changes: Any) -> dict[str, Any]:
    """A snapshot in the link's form, as far as the topics read it."""
    return {
        "node": 3,
        "tick": 9,
        "measured": {
            "current_a": -4.0,
            "pack_v": 9.8,
            "link_v": None,
            "cells": GOOD | {"value": {"cell_v": [3.3, None, 3.2]}},
            "temps": GOOD | {"value": {"probe_degc": [21.0, None], "die_degc": 30.0}},
        },
        "estimate": ESTIMATE,
        "faults": {"active": [{"code": "CELL_OV"}], "latched": ["WELD"]},
        "limits": {"charge_a": 10.0, "charge_binding": "rated"},
        "control": {"state": "closed", "reason": "", "open_pending": False, "countdown_s": 0.0},
        "actuated": {"main": True},
    } | changes


def test_topics_stand_under_site_and_node() -> None:
    assert base_of(Mqtt(host="h"), Node(name="pack1", id=1, site="barn")) == "bms/barn/pack1"


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("b/cmd/open", "open"),
        ("b/cmd/recovery_charge", "recovery_charge"),
        ("b/cmd/open/reply", None),
        ("b/cmd/reboot", None),
        ("open", None),
        ("b/cmd/", None),
        ("other/cmd/open", None),
    ],
)
def test_only_known_commands_are_commands(topic: str, name: str | None) -> None:
    assert command_of("b", topic) == name


def test_state_carries_extremes_of_the_known_cells_and_the_faults() -> None:
    state = messages_of(snapshot())["state"]
    assert (state["cell_min_v"], state["cell_max_v"], state["temp_max_degc"]) == (3.2, 3.3, 21.0)
    assert (state["faults"], state["latched"], state["soc"]) == (["CELL_OV"], ["WELD"], 0.5)
    assert state["tick"] == 9


def test_what_is_not_valid_goes_out_as_null() -> None:
    lost = {"quality": "failed", "age_s": 9.0, "reason": "nack", "refused": 3, "value": None}
    measured = {"current_a": None, "pack_v": None, "link_v": None, "cells": lost, "temps": lost}
    got = messages_of(snapshot(measured=measured, estimate=ESTIMATE | {"soc_valid": False}))
    assert {key: got["state"][key] for key in ("soc", "current_a", "pack_v", "cell_min_v", "temp_min_degc")} == (
        dict.fromkeys(("soc", "current_a", "pack_v", "cell_min_v", "temp_min_degc"))
    )
    assert got["cells"]["cell_v"] is None
    assert got["cells"]["cell_quality"] == "failed"
    assert got["cells"]["cell_soc"] is None
    assert (got["estimate"]["soc"], got["estimate"]["remaining"]) == (None, None)
    assert got["estimate"]["ageing"] == {"soh": 0.97}, "what does not follow from the charge stays"


def test_the_estimate_goes_out_for_the_pack_and_its_cells_with_the_cells() -> None:
    got = messages_of(snapshot())
    wanted = {name: value for name, value in ESTIMATE.items() if name != "cells"}
    assert got["estimate"] == {"node": 3, "tick": 9, **wanted}
    assert got["cells"]["cell_soc"] == [0.5, 0.52, 0.51]


def test_before_the_first_scan_there_are_no_cells() -> None:
    got = messages_of(snapshot(estimate=ESTIMATE | {"cells": None}))
    assert got["cells"]["cell_soc"] is None


def test_limits_go_out_with_what_binds() -> None:
    assert messages_of(snapshot())["limits"] == {"node": 3, "tick": 9, "charge_a": 10.0, "charge_binding": "rated"}
