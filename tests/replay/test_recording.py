"""Reading recordings: own names, foreign names through a map, and what is said when they do not fit."""

from __future__ import annotations

import contextlib
import gzip
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from bms_daemon.offline.columns import ColumnError, load_map, numbers_of
from bms_daemon.offline.recording import read

OWN = "time_s,current_a,cell_1_v,cell_2_v,temp_1_degc\n0,1.5,3.70,3.71,25\n30,-2,,3.70,26\n"
MAP = """
schema = 1
time = { column = "t" }
current = { column = "I", sign = -1, scale = 0.001 }
cells = { column = "V{n}", scale = 0.001, invalid = [65535] }
temps = { column = "T_{n}", numbers = [7], offset = -40.0 }
"""


def test_own_names_need_no_map(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(OWN)
    found = read(tmp_path / "r.csv", load_map(None))
    assert found.rows == 2
    np.testing.assert_array_equal(found.current_a, [1.5, -2.0])
    np.testing.assert_array_equal(found.cell_v, [[3.70, 3.71], [np.nan, 3.70]])
    np.testing.assert_array_equal(found.probe_degc, [[25.0], [26.0]])


def test_a_map_turns_signs_scales_and_drops_invalid_values(tmp_path: Path) -> None:
    table = {"t": [0, 30], "I": [5000, -1000], "V3": [3700, 65535], "V10": [3600, 3601], "T_7": [65, 66]}
    table |= {"name": ["a", "b"]}
    parquet.write_table(pa.table(table), tmp_path / "r.parquet")
    (tmp_path / "map.toml").write_text(MAP)
    found = read(tmp_path / "r.parquet", load_map(tmp_path / "map.toml"))
    np.testing.assert_allclose(found.current_a, [-5.0, 1.0])
    np.testing.assert_allclose(found.cell_v, [[3.7, 3.6], [np.nan, 3.601]])
    np.testing.assert_allclose(found.probe_degc, [[25.0], [26.0]])


def test_cells_are_picked_in_the_order_asked_for(tmp_path: Path) -> None:
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(OWN.encode()))
    found = read(tmp_path / "r.csv.gz", load_map(None), (2, 1))
    np.testing.assert_array_equal(found.cell_v[0], [3.71, 3.70])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time_s,cell_1_v,temp_1_degc\n0,3,20\n", "current_a"),
        ("time_s,current_a,temp_1_degc\n0,3,20\n", "cell_{n}_v"),
        ("time_s,current_a\n", "at least one row"),
        ("time_s,current_a,cell_1_v,temp_1_degc\n0,3\n", "line 2 has 2 fields, the header has 4"),
        (OWN + "60,1,3.7\n", "line 4 has 3 fields, the header has 5"),
        (OWN.replace("\n30", "\n"), "row 1 has no time;"),
        (OWN.replace("\n0", "\nnan").replace("\n30", "\ninf"), "row 0 has no time (1 more like it);"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_what_is_missing(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(ColumnError, match=re.escape(told)):
        read(tmp_path / "r.csv", load_map(None))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte-order mark"])
def test_a_file_of_a_spreadsheet_is_read_like_any_other(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "r.csv").write_bytes(mark + OWN.replace("\n", "\r\n").encode())
    np.testing.assert_array_equal(read(tmp_path / "r.csv", load_map(None)).time_s, [0.0, 30.0])


def test_a_row_of_parquet_without_a_time_is_refused(tmp_path: Path) -> None:
    table = {"time_s": [0.0, 1.0, None], "current_a": [0.0] * 3, "cell_1_v": [3.7] * 3, "temp_1_degc": [20.0] * 3}
    parquet.write_table(pa.table(table), tmp_path / "r.parquet")
    with pytest.raises(ColumnError, match="row 2 has no time;"):
        read(tmp_path / "r.parquet", load_map(None))


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "r.parquet"])
def test_what_cannot_be_read_is_an_error_with_the_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ColumnError, match=name):
        read(tmp_path / name, load_map(None))
    (tmp_path / name).write_bytes(b"\xff\xfe\x00PAR1 not really")
    with pytest.raises(ColumnError, match=name):
        read(tmp_path / name, load_map(None))


@pytest.mark.parametrize("text", ["nonsense =", "schema = 2", "schema = 1\ntime = 3", 'schema = 1\nodd = "x"'])
def test_a_broken_map_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(ColumnError, match=r"map\.toml"):
        load_map(tmp_path / "map.toml")


@pytest.mark.parametrize(
    ("text", "numbers"), [("1-3", (1, 2, 3)), ("5", (5,)), ("1,3,5-6", (1, 3, 5, 6)), ("73-75", (73, 74, 75))]
)
def test_lists_of_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert numbers_of(text) == numbers


@given(st.text(max_size=12))
def test_no_text_is_anything_but_numbers_or_an_error(text: str) -> None:
    with contextlib.suppress(ColumnError):
        assert all(number >= 0 for number in numbers_of(text))
