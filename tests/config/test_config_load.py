"""Loading a configuration: what is refused, and that the refusal names file, key, value and what would be right."""

from __future__ import annotations

import copy
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bms_daemon.app import load_settings
from bms_daemon.config.checks import advice
from bms_daemon.config.load import ConfigError, config_hash
from bms_daemon.config.schema import Settings

CONFIG = Path(__file__).parents[2] / "config"
SHIPPED = sorted(CONFIG.glob("*.toml"))
DEMO = tomllib.loads((CONFIG / "demo.toml").read_text())
REAL = tomllib.loads((CONFIG / "raspberry-pi-16s-lfp.toml").read_text())
MISSING = object()


def toml(value: Any) -> str:
    """A value as TOML; tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    return json.dumps(value)


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The table with dotted keys set, or taken away."""
    table = copy.deepcopy(base)
    for key, value in changes.items():
        *path, last = key.split(".")
        inner = table
        for part in path:
            inner = inner.setdefault(part, {})
        if value is MISSING:
            inner.pop(last)
        else:
            inner[last] = value
    return table


def write(folder: Path, table: dict[str, Any]) -> Path:
    path = folder / "pack.toml"
    path.write_text("".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in table.items()))
    return path


def load(folder: Path, changes: dict[str, Any], base: dict[str, Any] = DEMO) -> Settings:
    return load_settings(write(folder, changed(base, changes)))


def refused(folder: Path, changes: dict[str, Any], base: dict[str, Any] = DEMO) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, changes, base)
    return caught.value


# ------------------------------------------------------------------ what is accepted
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_configuration_loads(path: Path) -> None:
    settings = load_settings(path)
    assert settings.schema_ == 1
    assert settings.plain()["schema"] == 1


def test_the_grace_of_a_stop_follows_the_profile_unless_the_file_says_less(tmp_path: Path) -> None:
    assert load(tmp_path, {}).open_grace_s == 2.0
    assert load(tmp_path, {"node.profile": "vehicle"}).open_grace_s == 5.0
    assert load(tmp_path, {"timing.open_grace_s": 1.0}).open_grace_s == 1.0


def test_the_hash_changes_with_every_value_and_not_with_the_writing(tmp_path: Path) -> None:
    as_shipped = config_hash(load_settings(CONFIG / "demo.toml"))
    assert config_hash(load(tmp_path, {})) == as_shipped
    assert config_hash(load(tmp_path, {"cell.max_v": 3.64})) != as_shipped
    assert config_hash(load(tmp_path, {"afe.settings.over_voltage_v": 3.9})) != as_shipped


@pytest.mark.parametrize(("file", "rooted"), [("car.dbc", True), ("/etc/car.dbc", False)])
def test_a_users_dbc_lies_beside_the_file(tmp_path: Path, file: str, rooted: bool) -> None:
    messages = [{"message": "Pack", "signals": {"Voltage": "measured.cells.value.stack_v"}}]
    user = load(tmp_path, {"can.user_dbc": {"file": file, "messages": messages}}).can.user_dbc
    assert user is not None
    assert user.file == (tmp_path / file if rooted else Path(file))


# ------------------------------------------------------------------ what is refused
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"cell.max_volts": 3.6}, "cell.max_volts", "there is no such key"),
    ({"sell": {"max_v": 3.6}}, "sell", "there is no such key"),
    ({"afe.settings.crcs": True}, "afe.settings.crcs", "there is no such key"),
    ({"sim.world.weather": "fine"}, "sim.world.weather", "there is no such key"),
    ({"cell.max_v": MISSING}, "cell.max_v", "is required"),
    ({"afe.settings": MISSING}, "afe.settings.over_voltage_v", "is required"),
    ({"cell.max_v": 3650.0}, "cell.max_v", "less than or equal to 6"),
    ({"cell.max_v": "3.65"}, "cell.max_v", "valid number"),
    ({"cell.max_v": math.nan}, "cell.max_v", "finite number"),
    ({"pack.series": 16.5}, "pack.series", "valid integer"),
    ({"node.name": "Haus 1"}, "node.name", "match pattern"),
    ({"afe.kind": "bq00000"}, "afe.kind", "bq76952"),
    ({"shunt.kind": "coil"}, "shunt.kind", "vedirect"),
    ({"cell.min_v": 3.0, "cell.critical_min_v": 3.0}, "cell.critical_min_v", "must be below cell.min_v"),
    ({"cell.critical_max_v": 3.6}, "cell.max_v", "must be below cell.critical_max_v = 3.6"),
    ({"cell.recharge_min_v": 2.45}, "cell.recharge_min_v", "must be below cell.critical_min_v = 2.4"),
    ({"temperature.charge_min_degc": 50.0}, "temperature.charge_min_degc", "must be below temperature.charge_max_degc"),
    ({"temperature.critical_max_degc": 50.0}, "temperature.discharge_max_degc", "temperature.critical_max_degc"),
    ({"cell.max_v": 4.2, "cell.critical_max_v": 4.3}, "cell.max_v", "is outside of what lfp cells bear: 3.3 to 3.65"),
    ({"temperature.charge_min_degc": -5.0}, "temperature.charge_min_degc", "is outside of what lfp cells bear"),
    ({"afe.settings.over_voltage_v": 3.7}, "afe.settings.over_voltage_v", "must not lie below the daemon's own 3.75"),
    ({"afe.settings.under_voltage_v": 2.5}, "afe.settings.under_voltage_v", "must not lie above the daemon's own 2.4"),
    ({"afe.settings.over_current_charge_a": 50.0}, "afe.settings.over_current_charge_a", "daemon's own 55"),
    ({"afe.settings.over_current_discharge_a": 104.0}, "afe.settings.over_current_discharge_a", "daemon's own 110"),
    ({"gpio.precharge": {"line": "MAIN"}}, "gpio.precharge.line", "is used by gpio.main already"),
    ({"gpio.precharge": MISSING}, "gpio.precharge", "is required by contactor.topology = 'main_precharge'"),
    ({"contactor.topology": "main"}, "gpio.precharge", "has no place in contactor.topology = 'main'"),
    ({"contactor.topology": "two_mains_precharge"}, "gpio.main_negative", "is required by contactor.topology = 'two_m"),
    ({"contactor.topology": "two_mains_precharge", "gpio.main_negative": {"line": "GPIO7"}}, "gpio.main_negative_aux",
     "is required by contactor.aux_feedback"),
    ({"gpio.main_negative": {"line": "GPIO7"}}, "gpio.main_negative", "has no place in contactor.topology = 'main_pre"),
    ({"contactor.topology": "fets", "gpio.precharge": MISSING}, "contactor.topology", "an AFE that does not switch"),
    ({"gpio.main_aux": MISSING}, "gpio.main_aux", "is required by contactor.aux_feedback"),
    ({"contactor.precharge_min_s": 2.5}, "contactor.precharge_min_s", "must be below contactor.precharge_s"),
    ({"contactor.precharge_min_s": 0.19}, "contactor.precharge_min_s", "must be at least 0.2 s, two scans"),
    ({"afe.scan_period_s": 0.3}, "contactor.precharge_min_s", "must be at least 0.6 s, two scans"),
    ({"contactor.break_max_a": MISSING}, "contactor.break_max_a", "is required"),
    ({"contactor.fuse_clear_s": 5.0}, "contactor.fuse_clear_s", "must be at most 1.0 s"),
    ({"contactor.recovery_max_s": 3600.0}, "contactor.recovery_max_s", "must be at most 1800.0 s"),
    ({"timing.tick_s": 0.1}, "timing.dead_man_s", "must be at least three ticks of 0.1 s"),
    ({"timing.dead_man_s": 5.0}, "timing.dead_man_s", "must be at most 1.0 s"),
    ({"timing.overrun_stop_s": 1.0}, "timing.overrun_stop_s", "must be at most 0.5 s"),
    ({"timing.shutdown_grace_s": 20.0}, "timing.shutdown_grace_s", "must be at most 8.0 s"),
    ({"timing.open_grace_s": 3.0}, "timing.open_grace_s", "must be at most 2.0 s for this node.profile"),
    ({"afe.scan_period_s": 0.4}, "afe.scan_period_s", "must be at most 0.3 s: over-current within 0.5 s"),
    ({"afe.temp_period_s": 3.0}, "afe.temp_period_s", "must be at most 2.0 s: temperature within 6 s"),
    ({"afe.frozen_s": 2.0}, "afe.frozen_s", "must be at most 1.5 s"),
    ({"afe.frozen_s": 0.1}, "afe.frozen_s", "must be at least two scans of 0.1 s"),
    ({"afe.transfer_timeout_s": 0.2}, "afe.transfer_timeout_s", "must not be longer than afe.scan_period_s"),
    ({"gpio.read_period_s": 1.0}, "gpio.read_period_s", "must be at most 0.1 s"),
    ({"can.silent_s": 10.0}, "can.silent_s", "must be at most 3.0 s"),
    ({"fan.on_degc": 45.0}, "fan.on_degc", "must be below fan.full_degc = 45.0"),
    ({"temperature.probes_required": 4}, "temperature.probes_required", "must be at most 3"),
    ({"pack.series": 17}, "pack.series", "at most 16 cells, not 17"),
    ({"afe.bus": "/dev/i2c-1"}, "afe.bus", "must be sim where there is a [sim] table"),
    ({"gpio.chip": "pinctrl-bcm2711"}, "gpio.chip", "must be sim where there is a [sim] table"),
    ({"shunt.port": "/dev/ttyUSB0"}, "shunt.port", "must be sim where there is a [sim] table"),
    ({"sim": MISSING}, "gpio.chip", "needs a [sim] table"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "key", "right"), REFUSED, ids=lambda part: part if isinstance(part, str) else "")
def test_a_refusal_names_the_key_and_what_would_be_right(
    tmp_path: Path, changes: dict[str, Any], key: str, right: str
) -> None:
    error = refused(tmp_path, changes)
    said = [problem for problem in error.problems if problem.key == key]
    assert said
    assert any(right in problem.text for problem in said), said


def test_every_error_is_told_at_once_with_file_key_and_value(tmp_path: Path) -> None:
    wrong = {"cell.max_v": -1.0, "pack.chemistry": "lto", "afe.settings.crc": 7, "sim.world.probes": "x", "extra": 1}
    error = refused(tmp_path, wrong)
    assert {problem.key for problem in error.problems} == set(wrong)
    text = str(error)
    assert text.startswith(f"{tmp_path / 'pack.toml'}: 5 errors\n")
    assert "  cell.max_v = -1.0: " in text
    assert "  pack.chemistry = 'lto': " in text


def test_every_relation_is_told_at_once(tmp_path: Path) -> None:
    error = refused(tmp_path, {"cell.max_v": 3.8, "gpio.precharge": {"line": "MAIN"}, "timing.dead_man_s": 2.0})
    assert {problem.key for problem in error.problems} == {
        *("cell.max_v", "gpio.precharge.line", "timing.dead_man_s", "afe.settings.host_watchdog_s")
    }


def test_one_error_is_one_error(tmp_path: Path) -> None:
    assert ": 1 error\n" in str(refused(tmp_path, {"extra": 1}))


def test_a_newer_schema_is_refused_by_name_and_nothing_else_is_said(tmp_path: Path) -> None:
    error = refused(tmp_path, {"schema": 2, "invented_later": 1})
    assert [str(problem) for problem in error.problems] == [
        "schema = 2: was written for a newer bms-daemon; this one reads schema 1"
    ]


@pytest.mark.parametrize("schema", [0, "1", MISSING])
def test_a_schema_that_is_no_number_of_ours_is_refused(tmp_path: Path, schema: object) -> None:
    assert [problem.key for problem in refused(tmp_path, {"schema": schema}).problems] == ["schema"]


def test_real_devices_with_one_simulated_part_are_refused(tmp_path: Path) -> None:
    assert [problem.key for problem in refused(tmp_path, {"afe.bus": "sim"}, REAL).problems] == ["afe.bus"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"\xff\xfe", "cannot be read"),
        (b"schema = ", "is not TOML"),
        (b"a = 1\na = 2", "is not TOML"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"a = " + b"[" * 5000, "is not TOML"),
    ],
    ids=["missing", "not UTF-8", "broken", "twice", "a huge number", "too deep"],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "pack.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_settings(path)


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path)


# ------------------------------------------------------------------ advice
def test_a_chip_that_trips_above_what_the_contactor_breaks_is_worth_a_word(tmp_path: Path) -> None:
    assert not any("trips at" in line for line in advice(load(tmp_path, {})))
    said = advice(load(tmp_path, {"contactor.break_max_a": 100.0}))
    assert any("above contactor.break_max_a = 100 A" in line for line in said)


def test_a_pack_without_a_shunt_is_worth_a_word(tmp_path: Path) -> None:
    assert not any("one current sensor" in line for line in advice(load(tmp_path, {})))
    assert any("one current sensor" in line for line in advice(load(tmp_path, {"shunt": MISSING})))


# ------------------------------------------------------------------ fuzz
def keys(table: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in table.items():
        found.append(prefix + key)
        if isinstance(value, dict):
            found += keys(value, f"{prefix}{key}.")
    return found


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=8)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), TEXT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: "null" not in toml(value))
FUZZ = hypothesis_settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(st.dictionaries(st.sampled_from(keys(DEMO)), VALUES, min_size=1, max_size=3))
def test_any_value_anywhere_is_accepted_or_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    ordered = dict(sorted(changes.items(), key=lambda item: -item[0].count(".")))
    try:
        load(tmp_path, ordered)
    except ConfigError as error:
        assert error.problems
        assert all(problem.key and problem.text for problem in error.problems)


@FUZZ
@given(st.dictionaries(st.one_of(TEXT, st.sampled_from(list(DEMO))), VALUES, max_size=5))
def test_any_table_is_refused(tmp_path: Path, table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        load_settings(write(tmp_path, table))


# ------------------------------------------------------------------ who measures what
CHAIN = {"cells": [12, 4], "probes": [2, 1], "over_voltage_v": 3.85, "under_voltage_v": 2.2}


def test_a_pack_whose_current_and_terminals_nobody_measures_is_refused(tmp_path: Path) -> None:
    changes = {"afe.kind": "ltc681x", "afe.settings": CHAIN, "shunt": MISSING}
    told = str(refused(tmp_path, changes))
    for what in ("measures no current", "measures no pack voltage", "measures no link voltage"):
        assert what in told


def test_a_current_sensor_that_protects_must_speak_often(tmp_path: Path) -> None:
    changes = {
        "afe.kind": "ltc681x",
        "afe.settings": CHAIN,
        "shunt.kind": "ivts",
        "shunt.settings": {"pack": "u1", "link": "u2"},
        "shunt.period_s": 1.0,
    }
    assert "shunt.period_s = 1.0" in str(refused(tmp_path, changes))
    load(tmp_path, changes | {"shunt.period_s": 0.05})


def test_a_bus_that_is_too_slow_for_its_chain_is_refused(tmp_path: Path) -> None:
    sensor = {"shunt.kind": "ivts", "shunt.settings": {"pack": "u1", "link": "u2"}, "shunt.period_s": 0.05}
    slow = sensor | {"afe.kind": "ltc681x", "afe.settings": CHAIN | {"spi_hz": 10_000}}
    assert "a scan takes" in str(refused(tmp_path, slow))
    load(tmp_path, slow | {"afe.settings": CHAIN})
