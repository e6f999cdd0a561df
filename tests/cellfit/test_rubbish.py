"""Whatever stands in a file, it is read or refused with a text, and what is read is in order and known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bms_daemon.config.cellfile import load_cell
from bms_daemon.offline.cellfit.charge import count
from bms_daemon.offline.cellfit.columns import CellColumns, load_cell_map
from bms_daemon.offline.cellfit.reading import Possible, Source, read_log
from bms_daemon.offline.columns import Column, ColumnError

COLUMNS = CellColumns(charge=Column(column="ah"))
FIELDS = st.sampled_from(["", "nan", "inf", "-inf", "1e308", "-1", "0", "3.7", "3.6", "25", "100", "x", '"'])
ROWS = st.lists(st.lists(FIELDS, min_size=5, max_size=5).map(",".join), max_size=60)


def checked(path: Path) -> None:
    try:
        log = read_log(Source(path, "cycles"), COLUMNS, Possible.of(2.8, 4.2, 10.0), 25.0)
    except ColumnError as error:
        assert str(path) in str(error)
        return
    assert (np.diff(log.time_s) > 0).all()
    assert log.counted_ah is not None
    for array in (log.current_a, log.voltage_v, log.temperature_degc, log.counted_ah):
        assert np.isfinite(array).all() and array.size == log.time_s.size
    with np.errstate(over="ignore", invalid="ignore"):
        count(log, 5.0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rubbish.csv"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    checked(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, good=st.booleans())
def test_any_rows_under_the_right_header_are_read_or_refused(rows: list[str], good: bool, tmp_path: Path) -> None:
    path = tmp_path / "rubbish.csv"
    more = [f"{10 * second},-1,3.7,25,{-second}" for second in range(30)] if good else []
    path.write_text("\n".join(["time_s,current_a,voltage_v,temperature_c,ah", *rows, *more]))
    checked(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200))
def test_any_map_is_read_or_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load_cell_map(path)
    except ColumnError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("config/cells/*.toml")), ids=lambda p: p.name)
def test_shipped_cells_load_and_name_their_source(path: Path) -> None:
    file = load_cell(path)
    assert file.cell.source
    assert file.ocv.voltage_v[-1] <= file.cell.max_v + 0.15
    assert (file.hysteresis is not None) == (file.cell.chemistry == "lfp")
