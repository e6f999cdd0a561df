"""Every row of the campaign holds its class and its bound, in operation and at boot; and the campaign can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bms_daemon.offline.campaign import PHASES, ROWS, TABLE, jobs, perform, reference, run
from bms_daemon.offline.campaign_bench import with_values
from bms_daemon.offline.campaign_report import document

ROOT = Path(__file__).parent.parent.parent
CATALOGUE = {
    *("S03", "S06", "S07", "S13", "S14", "S17", "S24", "S30", "S33", "S48", "S49", "B02", "B03"),
    *("A01", "A02", "A03", "A05", "A11", "A12", "A16", "A22", "C01", "C04", "C10", "P02", "P06", "P07", "P17", "F03"),
}
HASTY = {"contactor.precharge_min_s": 0.001, "contactor.precharge_ratio": 0.2, "sim.world.contactor.weld_a": 1e5}
CASES = [(name, mode) for name, mode, _ in jobs(ROWS, 1)]


def parameters(phases: int) -> list[object]:
    slow = [pytest.mark.slow] if phases > 2 else []
    return [pytest.param(phases, *case, marks=slow) for case in CASES]


@pytest.mark.parametrize(("phases", "case", "mode"), [*parameters(2), *parameters(PHASES)])
def test_a_fault_meets_its_class_its_bound_and_closes_nothing_again(phases: int, case: str, mode: str) -> None:
    found = perform(reference(), (case, mode, phases))
    assert len(found) == phases
    assert [(result.phase, *result.problems) for result in found if result.problems] == []


@pytest.mark.slow
def test_processes_share_the_work_and_a_table_is_printed() -> None:
    text = document(run(["S03", "P06"], 2, reference()), 2)
    assert all(f"| {name} |" in text for name, (row, _, _) in TABLE.items() if row in ("S03", "P06"))
    assert "| S06 |" not in text


# ------------------------------------------------------------------ the table itself
def test_the_campaign_has_every_row_that_was_promised() -> None:
    assert set(ROWS) == CATALOGUE


def test_an_unknown_row_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Z99"):
        list(jobs(["S03", "Z99"], 1))


def test_the_document_has_every_case_in_every_mode() -> None:
    text = (ROOT / "docs/reaction-times.md").read_text()
    operation, boot = text.split("## Present at boot")
    for name, mode in CASES:
        assert f"| {name} |" in (boot if mode == "boot" else operation)
    assert "bms_daemon.offline.campaign" in text


def test_the_document_shows_no_row_beyond_its_bound() -> None:
    rows = [line.split(" | ") for line in (ROOT / "docs/reaction-times.md").read_text().splitlines() if " / " in line]
    timed = 0
    for cells in (row for row in rows if len(row) == 11):
        for spread, bound in ((cells[6], cells[7]), (cells[8], cells[9])):
            if "-" not in (spread, bound):
                timed += 1
                assert float(spread.split(" / ")[2]) <= float(bound), cells[0]
    assert timed > 30


def test_the_document_carries_no_date() -> None:
    assert not re.search(r"\b20\d\d\b", (ROOT / "docs/reaction-times.md").read_text())


# ------------------------------------------------------------------ it can fail
@pytest.mark.parametrize(
    ("case", "mode", "values", "words"),
    [
        ("S03", "operation", {"cell.critical_max_v": 3.84}, "never became OPEN"),
        ("S03", "boot", {"cell.critical_max_v": 3.84, "cell.max_v": 3.82}, "a coil was energised"),
        ("S33", "boot", {"shunt": None}, "a coil was energised"),
        ("S30", "operation", {"current.over_ratio": 2.0}, "never became OPEN"),
        ("P07 Raspberry Pi", "operation", {"sim.world.dead_man_s": 0.5}, "opened after"),
        ("A05", "operation", HASTY, "main coil"),
        ("C01 home", "operation", {"can.vcu": "none"}, "never became DERATE"),
    ],
)
def test_a_daemon_that_does_not_react_is_found_out(case: str, mode: str, values: dict[str, object], words: str) -> None:
    (found,) = perform(with_values(reference(), values), (case, mode, 1))
    assert words in "; ".join(found.problems)


def test_the_same_phases_give_the_same_times() -> None:
    once, again = (repr(perform(reference(), ("S03", "operation", 2))) for _ in range(2))
    assert once == again


def test_phases_differ() -> None:
    first, second = perform(reference(), ("S03", "operation", 2))
    assert first.detect_s != second.detect_s
