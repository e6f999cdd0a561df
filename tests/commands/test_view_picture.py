"""The live view's pictures of snapshots: exact size, extremes marked, unknown shown as such, faults with reactions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from command_line import DEMO
from helpers.full_snapshot import estimate

from bms_daemon import model as m
from bms_daemon.app import load_settings
from bms_daemon.commands._frames import FrameTap
from bms_daemon.commands._notes import Note
from bms_daemon.commands._panes import time_of_day
from bms_daemon.commands._progress import Stopwatch
from bms_daemon.commands._text import ansi, bar, lasts, plain
from bms_daemon.commands._view import Journey, Scene, line, picture
from bms_daemon.config.schema import Can

SETTINGS = load_settings(DEMO)
NAN = float("nan")


def channel(value: Any, quality: m.Quality = m.Quality.GOOD, reason: str = "") -> m.Channel[Any]:
    return m.Channel(value, 9.9, 0.1, quality, True, True, reason)


def snapshot(cell_v: Any = None, quality: m.Quality = m.Quality.GOOD, **changes: Any) -> m.Snapshot:
    cells = np.linspace(3.30, 3.35, 16) if cell_v is None else np.asarray(cell_v, dtype=float)
    lost = quality is m.Quality.FAILED
    scan = m.AfeScan(cells, 53.25, 7, 53.5, 26.75, -12.5)
    measured = m.Measured(
        now_s=10.0,
        dt_s=0.02,
        cells=channel(scan, quality, "" if quality is m.Quality.GOOD else "nack"),
        temps=channel(m.TempScan(np.array([21.5, NAN]), 30.0)),
        shunt=m.Channel(),
        pins=channel(m.Pins(main_aux_closed=True, precharge_aux_closed=False)),
        vcu=m.Channel(),
        can=m.CanHealth(),
        doubts=m.Doubt.NONE,
        frozen_s=0.0,
        lateness_s=0.0,
        late_run_s=0.0,
        orders=m.Orders(),
        current_a=-12.5,
        pack_v=NAN if lost else 53.5,
        link_v=NAN if lost else 26.75,
        current_s=9.9,
        current_fresh=True,
        terminals=quality,
        health=m.Health(),
    )
    whole = m.Snapshot(
        2,
        10.0,
        500,
        measured,
        estimate(soc=0.614, soc_sigma=0.025),
        m.Faults(),
        m.Limits(50.0, 25.0, 2660.0, 1330.0, 58.4, 43.2, m.Binding.RATED, m.Binding.TEMPERATURE),
        m.Control(m.PackState.CLOSED),
        m.Command(main=True),
        m.Actuated(),
    )
    return replace(whole, **changes)


def scene(shown: m.Snapshot, notes: tuple[Note, ...] = (), settings: Any = SETTINGS) -> Scene:
    journey = Journey(9.0, 60.0, None, Stopwatch(), start_s=0.0, now_s=10.0)
    return Scene(shown, settings, journey, list(notes), [], "virtual demo")


def text(shown: m.Snapshot, width: int = 80, height: int = 24, notes: tuple[Note, ...] = ()) -> list[str]:
    return [plain(row) for row in picture(scene(shown, notes), width, height)]


def test_the_picture_carries_state_charge_volts_amps_watts_limits_and_their_reasons() -> None:
    rows = text(snapshot())
    assert all(part in rows[0] for part in ("demo", "09:00:10", "60x", " CLOSED ", "61.4 % ± 2.5 %"))
    assert rows[2].split() == ["pack", "53.25", "V", "-12.50", "A", "-666", "W", "discharging"]
    assert "50.0 A   2.66 kW" in rows[3] and rows[3].endswith("by rated")
    assert "25.0 A   1.33 kW" in rows[4] and " 50 % used" in rows[4] and rows[4].endswith("by temperature")
    assert rows[5] == "left      3.89 kWh, 73.1 Ah  empty in 6 h 05 min  SOH 94.2 % ± 1.1 %"
    assert "precharge off open" in rows[6] and "main ON closed" in rows[6] and "26.75 V" in rows[6]
    assert rows[6].endswith("50 %")
    assert "21.5 °C" in rows[7] and "- °C" in rows[7] and "die  30.0 °C" in rows[7]


@pytest.mark.parametrize(
    ("empty_s", "full_s", "words"),
    [(NAN, NAN, "no end in sight"), (math.inf, math.inf, "no end in sight"), (None, None, "no end in sight"),
     (5400.0, math.inf, "empty in 1 h 30 min"), (math.inf, 59.0, "full in 0 h 01 min")],
)  # fmt: skip
def test_how_long_it_lasts(empty_s: float | None, full_s: float | None, words: str) -> None:
    assert lasts(empty_s, full_s) == words


def test_what_is_left_is_unknown_while_the_charge_is() -> None:
    assert text(snapshot(estimate=m.Estimate(soc=0.5, soc_sigma=0.4)))[5].split() == ["left", "unknown"]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60), (40, 10), (20, 5)])
@pytest.mark.parametrize("cells", [1, 16, 96, 400])
def test_a_picture_has_exactly_the_rows_of_the_screen(width: int, height: int, cells: int) -> None:
    pack = SETTINGS.pack.model_copy(update={"series": cells})
    settings = SETTINGS.model_copy(update={"pack": pack})
    rows = picture(scene(snapshot(np.linspace(3.2, 3.4, cells)), settings=settings), width, height)
    assert len(rows) == height


def test_the_lowest_and_the_highest_cell_are_marked_once() -> None:
    voltages = [3.30] * 16
    voltages[4], voltages[11] = 3.20, 3.40
    rows = text(snapshot(voltages))
    heading = next(row for row in rows if "── cells" in row)
    assert "▼ 3.200 V #5" in heading and "▲ 3.400 V #12" in heading and "spread 200 mV" in heading
    field = "\n".join(rows[rows.index(heading) + 1 :][:4])
    assert field.count("▼") == field.count("▲") == 1
    assert field.index("  5 3.200") < field.index("▼") < field.index("  6 3.300")


def test_a_cell_that_is_not_known_shows_no_number() -> None:
    voltages = [3.30, NAN, *[3.31] * 14]
    field = "\n".join(text(snapshot(voltages)))
    assert "  2   -   " in field and "nan" not in field


def test_lost_cells_show_why_and_no_old_value() -> None:
    shown = snapshot(quality=m.Quality.FAILED)
    field = "\n".join(text(shown))
    assert "no data: nack" in field and "53.25" not in field and "3.300" not in field and "26.75" not in field
    assert "no cell data" in line(shown)


def test_faults_stand_with_reaction_place_value_and_latch_worst_first() -> None:
    fault = m.Fault("cell_over_voltage", 1, m.Domain.ELECTRICAL, m.Reaction.BLOCK_C, True, 7.0, 3.66, 3.65, 4)
    rows = text(snapshot(faults=m.Faults((fault,), ("cell_over_voltage", "afe_trip"))))
    at = next(index for index, row in enumerate(rows) if "── faults" in row)
    assert rows[at + 1].split(maxsplit=1) == ["BLOCK-C", "cell_over_voltage at #4: 3.66 against 3.65, 3 s, latched"]
    assert rows[at + 2].split() == ["latched", "afe_trip:", "cause", "gone"]


def test_the_newest_events_are_shown_with_their_time_of_day() -> None:
    notes = tuple(Note(float(second), "info", f"event {second}") for second in range(60))
    rows = text(snapshot(), notes=notes)
    assert "09:00:59 event 59" in rows and "09:00:00 event 0" not in rows


@pytest.mark.parametrize("state", m.PackState, ids=lambda state: state.name)
def test_every_state_has_a_badge(state: m.PackState) -> None:
    row = picture(scene(snapshot(control=m.Control(state))), 80, 24)[0]
    badges = [(shown, style) for shown, style in row if style.startswith("on_")]
    assert [shown.strip() for shown, _ in badges] == [state.name.replace("_", " ")]


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, "    "), (1.0, "████"), (0.5, "██  "), (0.03125, "▏   "), (-1.0, "    "), (9.0, "████"), (NAN, "    ")],
)
def test_a_bar_fills_in_eighths_and_never_beyond_its_width(share: float, expected: str) -> None:
    assert bar(share, 4) == expected


@pytest.mark.parametrize(
    ("elapsed_s", "start_hour", "expected"),
    [(0.0, 9.0, "09:00:00"), (3661.5, 9.5, "10:31:01"), (54000.0, 9.0, "day 2 00:00:00")],
)
def test_the_time_of_day_runs_on_from_the_start_hour(elapsed_s: float, start_hour: float, expected: str) -> None:
    assert time_of_day(elapsed_s, start_hour) == expected


def test_without_colour_or_unicode_plain_ascii_is_left() -> None:
    rows = picture(scene(snapshot()), 80, 24)
    assert all(ansi(row, colour=False, unicode=False).isascii() for row in rows)
    assert not any("\x1b" in ansi(row, colour=False) for row in rows)
    assert any("\x1b[" in ansi(row) for row in rows)


def test_the_second_node_decodes_what_is_on_the_bus() -> None:
    import can

    tap = FrameTap(Can(interface="virtual", channel="test_view_picture"))
    tap.open(0.0)
    with can.Bus(interface="virtual", channel="test_view_picture", ignore_config=True) as bus:
        for frame_id, data in (
            (0x106, "2c0416020b418a00"),
            (0x106, "0000"),
            (0x7F0, "00"),
            (0x101, "840d00f401e803c8"),
        ):
            bus.send(can.Message(arbitration_id=frame_id, data=bytes.fromhex(data), is_extended_id=False))
            tap.listen(0.5)
    tap.listen(2.0)
    assert [(found.frame_id, found.name) for found in tap.decoded(9)] == [(0x101, "BMS_Limits"), (0x106, "BMS_Pack")]
    assert tap.decoded(1)[0].text.startswith("ChargeCurrent 50 A  DischargeCurrent 100 A  ChargeBinding RATED")
    assert tap.decoded(2)[1].text.startswith("not decoded: ")
    assert tap.frames_per_s == 2.0
    tap.close()
