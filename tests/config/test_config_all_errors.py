"""One report for everything: wrong values do not hide wrong relations, and a mended value accuses nobody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bms_daemon.app import load_settings
from bms_daemon.config.load import ConfigError

DEMO = (Path(__file__).parents[2] / "config/demo.toml").read_text()
Changes = dict[str, str]  # a line of the file, by how it begins -> what stands there instead


def refused(folder: Path, changes: Changes) -> list[str]:
    """What is said of the demo's file with some lines changed."""
    text = DEMO
    for line, instead in changes.items():
        text, count = re.subn(rf"^{re.escape(line)}.*$", instead, text, count=1, flags=re.M)
        assert count == 1, line
    path = folder / "pack.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    return [str(problem) for problem in caught.value.problems]


NINE: dict[str, tuple[str, str]] = {
    "capacity_ah = 100": ("capacity_ah = -1.0", "pack.capacity_ah = -1.0: "),
    "critical_min_v": ('critical_min_v = "2.4"', "cell.critical_min_v = '2.4': "),
    "max_v": ("max_volts = 3.65", "cell.max_volts = 3.65: there is no such key"),
    "break_max_a": ("", "contactor.break_max_a: is required"),
    "host_watchdog_s": ("host_watchdog_s = true", "afe.settings.host_watchdog_s = True: "),
    "critical_max_degc": ("critical_max_degc = 50.0", "temperature.discharge_max_degc = 55.0: must be below"),
    "over_current_charge_a": ("over_current_charge_a = 50.0", "afe.settings.over_current_charge_a = 50.0: the chip"),
    "precharge = {": ('precharge = { line = "MAIN" }', "gpio.precharge.line = 'MAIN': is used by gpio.main already"),
    "on_degc": ("on_degc = 46.0", "fan.on_degc = 46.0: must be below fan.full_degc = 45.0"),
}


def test_nine_mistakes_of_every_kind_are_one_report(tmp_path: Path) -> None:
    said = refused(tmp_path, {line: instead for line, (instead, _) in NINE.items()})
    missing = [told for _, told in NINE.values() if not any(text.startswith(told) for text in said)]
    assert not missing, said
    assert "cell.max_v: is required" in said
    assert len(said) == len(NINE) + 1 == len(set(said))


def test_the_report_is_the_same_every_time(tmp_path: Path) -> None:
    changes = {line: instead for line, (instead, _) in NINE.items()}
    assert refused(tmp_path, changes) == refused(tmp_path, changes)


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"chemistry": 'chemistry = "lto"', "min_v": "min_v = 1.0"}, ["pack.chemistry", "cell.critical_min_v"]),
        ({"kind": 'kind = "bq00000"', "critical_max_v": "critical_max_v = 3.9"}, ["afe.kind"]),
        ({"critical_max_v": "critical_max_v = 99.0", "over_voltage_v": "over_voltage_v = 3.7"},
         ["cell.critical_max_v"]),
        ({"charge_max_a": "charge_max_a = 0.0", "over_current_charge_a": "over_current_charge_a = 50.0"},
         ["current.charge_max_a"]),
        ({"series": "series = 0", "probes = [": "probes = 3"}, ["afe.settings.probes", "pack.series"]),
        ({"bus = ": "bus = 1", "port = ": 'port = "/dev/ttyUSB0"'}, ["afe.bus", "shunt.port"]),
    ],
)  # fmt: skip
def test_what_rests_on_a_wrong_value_is_not_judged(tmp_path: Path, changes: Changes, keys: list[str]) -> None:
    said = [text.split(" = ")[0].split(": ")[0] for text in refused(tmp_path, changes)]
    assert sorted(said) == sorted(keys)


def test_a_relation_that_two_ladders_share_is_told_once(tmp_path: Path) -> None:
    said = refused(tmp_path, {"critical_max_degc": "critical_max_degc = 75.0\nvalid_max_degc = 70.0"})
    assert said == ["temperature.critical_max_degc = 75.0: must be below temperature.valid_max_degc = 70.0"]
