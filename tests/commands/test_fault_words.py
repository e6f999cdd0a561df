"""How a fault is told: numbers where they say something, and what to do where only a person can help."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.full_snapshot import snapshot as full_snapshot

from bms_daemon.app.events import events_between
from bms_daemon.commands import _panes
from bms_daemon.commands.status import table
from bms_daemon.model import Domain, Event, Fault, Faults, Reaction
from bms_daemon.runtime.plain import plain

COMMISSION = "INHIBIT; run: bms-daemon commission CONFIG"


def fault(code: str, value: float, limit: float, reaction: Reaction = Reaction.OPEN) -> Fault:
    return Fault(code, 1, Domain.SENSOR, reaction, False, 0.0, value, limit)


def told(one: Fault) -> Event:
    snapshot = replace(full_snapshot(), faults=Faults(active=(one,)))
    return next(event for event in events_between(None, snapshot) if event.kind == "fault")


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (fault("emergency_stop", 1.0, 0.5), "emergency_stop: OPEN"),
        (fault("journal_missing", 1.0, 0.5, Reaction.INHIBIT), f"journal_missing: {COMMISSION}"),
        (fault("configuration_unapproved", 1.0, 0.5, Reaction.INHIBIT), f"configuration_unapproved: {COMMISSION}"),
        (fault("cell_over_voltage", 3.7, 3.65), "cell_over_voltage: 3.700 against 3.650, OPEN"),
        (fault("cell_spread", 1.0, 0.9), "cell_spread: 1.000 against 0.900, OPEN"),
        (fault("sum_mismatch", 0.75, 0.5), "sum_mismatch: 0.750 against 0.500, OPEN"),
        (fault("probe_invalid", float("nan"), 0.5), "probe_invalid: OPEN"),
    ],
    ids=lambda part: part.code if isinstance(part, Fault) else "",
)  # fmt: skip
def test_a_yes_or_no_has_no_numbers_and_a_missing_approval_says_what_to_run(one: Fault, text: str) -> None:
    assert told(one).text == text


@pytest.mark.parametrize(("value", "numbers"), [(1.0, False), (0.75, True)])
def test_status_and_screen_leave_out_numbers_that_say_nothing(value: float, numbers: bool) -> None:
    snapshot = replace(full_snapshot(), faults=Faults(active=(fault("any_fault", value, 0.5),)))
    screen = "".join(text for row in _panes.faults(snapshot.faults, 0.0) for text, _ in row)
    assert ("against" in screen) is numbers
    assert ("against" in table(plain(snapshot)).split("faults")[1]) is numbers


def test_data_have_six_digits() -> None:
    data = told(fault("cell_over_voltage", 3.7000000000000006, 3.65)).data
    assert (data["value"], data["limit"]) == (3.7, 3.65)
