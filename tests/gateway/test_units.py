"""The systemd units parse, and say what the design relies on."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "systemd"
CORE, GATEWAY = "bms-core@.service", "bms-gateway@.service"


def directives(name: str) -> dict[str, list[str]]:
    """Directive to its values in order, of all sections."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in (FOLDER / name).read_text().splitlines():
        if line and line[0] not in "#[":
            key, value = line.split("=", 1)
            found[key].append(value)
    return found


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("Type", ["notify"]),
        ("NotifyAccess", ["main"]),
        ("WatchdogSec", ["3"]),
        ("Restart", ["always"]),
        ("RestartPreventExitStatus", ["78"]),
        ("ExecStart", ["/usr/bin/env bms-daemon run --no-gateway /etc/bms-daemon/%i.toml"]),
        ("ExecStopPost", ["/usr/bin/env bms-daemon outputs-off /etc/bms-daemon/%i.toml"]),
        ("DevicePolicy", ["closed"]),
        ("RestrictRealtime", ["no"]),
        ("NoNewPrivileges", ["yes"]),
        ("ProtectSystem", ["strict"]),
    ],
)
def test_the_core_unit_says_what_the_design_needs(key: str, values: list[str]) -> None:
    assert directives(CORE)[key] == values


def test_the_core_has_no_network_but_can_and_the_gateway_no_device() -> None:
    assert set(directives(CORE)["RestrictAddressFamilies"][0].split()) <= {"AF_UNIX", "AF_CAN", "AF_NETLINK"}
    assert directives(GATEWAY)["PrivateDevices"] == ["yes"]
    assert "DeviceAllow" not in directives(GATEWAY)


def test_core_and_gateway_are_different_users_of_one_group() -> None:
    core, gateway = directives(CORE), directives(GATEWAY)
    assert core["User"] != gateway["User"]
    assert core["Group"] == gateway["Group"] == ["bms"]


def test_the_unit_waits_longer_for_the_end_than_the_shutdown_grace() -> None:
    assert int(directives(CORE)["TimeoutStopSec"][0]) > 8.0


def test_every_user_and_group_of_the_units_is_created() -> None:
    lines = (FOLDER / "sysusers.d" / "bms-daemon.conf").read_text().splitlines()
    created = {tuple(line.split()[:2]) for line in lines if line[:1] in "ug"}
    for name in (CORE, GATEWAY):
        unit = directives(name)
        assert ("u", unit["User"][0]) in created
        groups = unit["Group"] + " ".join(unit["SupplementaryGroups"]).split()
        assert {("g", group) for group in groups} <= created


def test_udev_gives_devices_only_to_groups_that_the_core_is_in() -> None:
    rules = (FOLDER / "udev" / "60-bms-daemon.rules").read_text()
    groups = {part.split('"')[1] for part in rules.split() if part.startswith("GROUP=")}
    unit = directives(CORE)
    assert groups == {*unit["Group"], *unit["SupplementaryGroups"][0].split()}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", [CORE, GATEWAY])
def test_systemd_finds_nothing_wrong_with_the_unit(name: str, tmp_path: Path) -> None:
    for unit in FOLDER.glob("*.service"):
        shutil.copy(unit, tmp_path)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stderr
