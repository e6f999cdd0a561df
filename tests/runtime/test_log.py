"""Log lines: one a line whatever they say, thinned out, never waited for."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator

import pytest
import structlog

from bms_daemon.runtime import log
from bms_daemon.runtime.log import Thin, printable
from bms_daemon.runtime.sink import Sink


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)
    structlog.reset_defaults()


def test_a_line_is_json_with_level_time_and_code(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log.configure(writer, {})
    structlog.get_logger().warning("cell high", code="CELL_OV", value_v=3.65, limit_v=float("nan"))
    line = json.loads(os.read(reader, 4096))
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "cell high", "level": "warning", "code": "CELL_OV", "value_v": 3.65, "limit_v": None}


def test_under_systemd_a_line_begins_with_its_priority(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log.configure(writer, {"JOURNAL_STREAM": "8:1"})
    structlog.get_logger().error("x")
    assert os.read(reader, 4096).startswith(b'<3>{"')


def test_foreign_text_cannot_end_a_line_or_move_the_cursor(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log.configure(writer, {})
    structlog.get_logger().info("x", name="a\r\n<0>forged\x1b[2J\u202e")
    data = os.read(reader, 4096)
    assert data.count(b"\n") == 1
    assert json.loads(data)["name"] == "a\\r\\n<0>forged\\x1b[2J\\u202e"
    assert len(printable("y" * 100_000)) == 1000


def test_a_storm_of_one_code_is_thinned_out_and_counted_and_others_are_heard() -> None:
    now_s = 0.0
    thin = Thin(lambda: now_s)
    kept = []
    for number in range(10_000):
        now_s = number * 1e-4
        try:
            kept.append(thin(None, "warning", {"event": "x", "code": "STORM"}))
        except structlog.DropEvent:
            continue
    assert len(kept) == 20
    assert thin(None, "info", {"event": "other"}) == {"event": "other"}
    now_s = 2.0
    assert thin(None, "warning", {"event": "x", "code": "STORM"})["dropped"] == 10_000 - 20


def test_a_thousand_different_codes_do_not_grow_the_memory() -> None:
    thin = Thin(lambda: 0.0)
    for number in range(5000):
        thin(None, "info", {"event": "x", "code": f"C{number}"})
    assert len(thin._codes) == 512


def test_a_full_pipe_costs_lines_and_not_time(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
    sink = Sink(writer)
    for _ in range(100):
        sink.write(b"x" * 999 + b"\n")
    assert sink.lost > 90
    os.read(reader, 4096)
    assert sink.write(b"again\n") == 6


def test_a_reader_that_left_costs_lines_and_raises_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    sink = Sink(writer)
    sink.write(b"x\n")
    assert sink.lost == 1
    os.close(writer)
