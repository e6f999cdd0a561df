"""One JSON form of a snapshot, complete, cheap, and without a last value that is shown as if it were live."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from dataclasses import replace
from typing import Any

import pytest
from helpers.full_snapshot import snapshot

from bms_daemon import model as m
from bms_daemon.runtime.plain import plain, plain_event


def test_arrays_flags_enumerations_and_unknowns_take_their_json_form() -> None:
    got = json.loads(json.dumps(plain(snapshot()), allow_nan=False))
    cells = got["measured"]["cells"]["value"]
    assert cells["cell_v"][0] == 3.3 and len(cells["cell_v"]) == 16
    assert cells["link_v"] is None
    assert cells["trips"] == ["over_voltage", "internal"]
    assert got["measured"]["temps"]["value"]["probe_degc"] == [21.5, None]
    assert got["measured"]["doubts"] == ["cell_range"]
    assert got["measured"]["vcu"]["value"]["request"] == "close"
    assert got["measured"]["shunt"] == {
        "quality": "failed",
        "age_s": None,
        "reason": "never seen",
        "refused": 0,
        "value": None,
    }
    assert got["estimate"]["soc"] is None
    assert got["estimate"]["power"]["charge_binding"][-1] == "temperature"
    assert got["estimate"]["ageing"]["why"] == "partial_charge"
    assert got["faults"]["active"][0]["reaction"] == "block_c"
    assert got["limits"]["charge_binding"] == "fault"
    assert got["control"]["state"] == "recovery_charge"


@pytest.mark.parametrize(
    ("quality", "shown"), [(m.Quality.GOOD, True), (m.Quality.HELD, True), (m.Quality.FAILED, False)]
)
def test_a_failed_channel_shows_no_value(quality: m.Quality, shown: bool) -> None:
    assert (plain(snapshot(quality=quality))["measured"]["cells"]["value"] is not None) is shown


LEFT_OUT = {
    m.Measured: {"now_s"},
    m.Channel: {"time_s", "fresh", "tried", "bad_run"},
}


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        (m.Snapshot, lambda p: p),
        (m.Measured, lambda p: p["measured"]),
        (m.Orders, lambda p: p["measured"]["orders"]),
        (m.Channel, lambda p: p["measured"]["cells"]),
        (m.Health, lambda p: p["measured"]["health"]),
        (m.AfeScan, lambda p: p["measured"]["cells"]["value"]),
        (m.TempScan, lambda p: p["measured"]["temps"]["value"]),
        (m.Pins, lambda p: p["measured"]["pins"]["value"]),
        (m.VcuRequest, lambda p: p["measured"]["vcu"]["value"]),
        (m.CanHealth, lambda p: p["measured"]["can"]),
        (m.Estimate, lambda p: p["estimate"]),
        (m.Ageing, lambda p: p["estimate"]["ageing"]),
        (m.Remaining, lambda p: p["estimate"]["remaining"]),
        (m.PowerAhead, lambda p: p["estimate"]["power"]),
        (m.CellStates, lambda p: p["estimate"]["cells"]),
        (m.Faults, lambda p: p["faults"]),
        (m.Fault, lambda p: p["faults"]["active"][0]),
        (m.Limits, lambda p: p["limits"]),
        (m.Control, lambda p: p["control"]),
        (m.Command, lambda p: p["command"]),
        (m.Actuated, lambda p: p["actuated"]),
    ],
)
def test_every_field_of_the_model_is_shown(kind: type, where: Any) -> None:
    wanted = {field.name for field in dataclasses.fields(kind)} - LEFT_OUT.get(kind, set())
    extra = {"schema"} if kind is m.Snapshot else set()
    assert where(plain(snapshot())).keys() == wanted | extra


def test_an_event_keeps_its_kind_beside_the_links() -> None:
    event = m.Event(1.0, "fault", "CELL_OV", "cell high", {"cell": 4})
    assert plain_event(event) == {
        "time_s": 1.0,
        "event": "fault",
        "code": "CELL_OV",
        "text": "cell high",
        "data": {"cell": 4},
    }


def test_infinite_numbers_do_not_pass() -> None:
    worst = replace(snapshot(), estimate=m.Estimate(soc=math.inf, capacity_ah=-math.inf))
    assert plain(worst)["estimate"]["soc"] is None
    assert plain(worst)["estimate"]["capacity_ah"] is None


def test_sixteen_cells_take_less_than_150_microseconds() -> None:
    shot = snapshot()
    best_s = math.inf
    for _ in range(20):
        started_s = time.perf_counter()
        for _ in range(20):
            plain(shot)
        best_s = min(best_s, (time.perf_counter() - started_s) / 20)
    assert best_s < 150e-6
