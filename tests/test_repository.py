"""The repository's standard files: generated documents, links that lead somewhere, scripts that tell the truth."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bms_daemon.model import Reaction
from bms_daemon.offline import faultdoc
from bms_daemon.stages.rules import RULES, Rung

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CONFIGURATIONS = sorted(ROOT.glob("config/*.toml"))
SCRIPTS = sorted(path for path in ROOT.glob("scripts/*") if path.is_file() and path.suffix == "")
SCRIPTS += [ROOT / "scripts" / "kernel" / each for each in ("build", "init")]
MODULES = sorted(ROOT.glob("bms_daemon/**/*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def bash(text: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", text], cwd=ROOT, env=os.environ | environ, capture_output=True, text=True)


# ------------------------------------------------------------------ documents
def test_the_frames_that_the_readme_shows_decode_to_what_it_shows() -> None:
    (shown,) = re.findall(r"^```\n(  vcan0 .*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    frames = [line for line in shown.splitlines() if line.endswith(" ::")]
    dumped = "".join(line.removesuffix(" ::") + "\n" for line in frames)
    command = [Path(sys.executable).parent / "cantools", "decode", "dbc/bms.dbc"]
    decoded = subprocess.run(command, cwd=ROOT, input=dumped, capture_output=True, text=True, check=True).stdout
    assert len(frames) >= 2 and decoded == shown


def test_the_committed_fault_table_is_the_generated_one() -> None:
    assert (ROOT / "docs/faults.md").read_text() == faultdoc.document()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("cell_over_voltage", "above `cell.max_v`"),
        ("cell_under_voltage", "below `cell.min_v`"),
        ("over_current_discharge", "`current.over_ratio` × `current.discharge_max_a`"),
        ("main_welded", "for `contactor.feedback_s`"),
    ],
)
def test_a_fault_is_told_in_keys_of_the_configuration(code: str, words: str) -> None:
    rule = next(rule for rule in RULES if rule.code == code)
    assert words in faultdoc.condition(rule, rule.ladder[0])


def test_a_latched_rung_is_told_as_latched() -> None:
    assert "latched" in faultdoc.reaction(Rung(Reaction.OPEN, latch=True))
    assert "latched" not in faultdoc.reaction(Rung(Reaction.OPEN))


def test_every_reaction_is_explained() -> None:
    assert set(faultdoc.REACTIONS) == set(Reaction)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_of_a_document_lead_to_files(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", document.read_text())
    local = [target for target in targets if "://" not in target]
    assert not [target for target in local if not (document.parent / target).exists()]


def test_documents_name_only_commands_that_exist() -> None:
    helped = subprocess.run([sys.executable, "-m", "bms_daemon", "--help"], capture_output=True, text=True, check=True)
    there = set(re.findall(r"^    ([a-z-]+)", helped.stdout, re.M))
    typed = re.compile(r"(?:`|^|bin/| -u \S+ )bms-daemon ([a-z-]+)", re.M)
    named = {verb for document in DOCUMENTS for verb in typed.findall(document.read_text())}
    assert named >= {"check", "commission", "run"}
    assert named <= there


@pytest.mark.parametrize("picture", sorted(ROOT.glob("docs/*.svg")), ids=name)
def test_pictures_are_well_formed_and_say_what_they_show(picture: Path) -> None:
    title = ElementTree.parse(picture).find("{http://www.w3.org/2000/svg}title")
    assert title is not None and title.text
    assert any(picture.name in document.read_text() for document in DOCUMENTS)


def test_contributors_read_the_layers_that_are_enforced() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    told = " > ".join(f"({layer})" if "|" in layer else layer for layer in layers)
    words = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    assert told in words


# ------------------------------------------------------------------ configurations
@pytest.mark.parametrize("path", CONFIGURATIONS, ids=name)
def test_shipped_configurations_are_accepted(path: Path) -> None:
    from bms_daemon.app import load_settings

    settings = load_settings(path)
    assert path.stem == "demo" or f"-{settings.pack.series}s-" in f"{path.stem}-"


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=name)
def test_a_shipped_configuration_is_either_simulated_or_on_real_devices(path: Path) -> None:
    table = tomllib.loads(path.read_text())
    devices = {table["afe"]["bus"], table["gpio"]["chip"], table.get("shunt", {}).get("port", table["afe"]["bus"])}
    assert (devices == {"sim"}) == ("sim" in table)
    if "sim" not in table:
        assert all(device.startswith(("/dev/", "can", "pinctrl-", "gpio-")) for device in devices)


def test_the_car_packs_replay_limits_leave_normal_driving_alone() -> None:
    """Normal: 3.04 to 4.17 V a cell, up to 44 degC, -140 to 80 A."""
    table = tomllib.loads((ROOT / "config/replay-16s-nmc.toml").read_text())
    cell, current, temperature = table["cell"], table["current"], table["temperature"]
    assert cell["min_v"] + cell["derate_span_v"] <= 3.04
    assert cell["max_v"] - cell["derate_span_v"] >= 4.17
    assert current["discharge_max_a"] > 140.0
    assert current["charge_max_a"] > 80.0
    assert temperature["charge_max_degc"] - temperature["derate_span_degc"] > 44.0


@pytest.mark.parametrize("folder", ["dbc", "config"])
def test_the_package_carries_the_files_of_the_checkout(folder: str) -> None:
    packed = resources.files("bms_daemon") / "data" / folder
    there = {entry.name for entry in packed.iterdir()}
    assert there == {path.name for path in (ROOT / folder).iterdir()}
    assert there


# ------------------------------------------------------------------ scripts
def test_every_lab_test_is_in_a_group_and_in_the_report() -> None:
    (groups,) = re.findall(r"^GROUPS_OF_TESTS=\((.*)\)$", (ROOT / "scripts/lab").read_text(), re.M)
    files = sorted(path.name for path in ROOT.glob("tests/lab/test_*.py"))
    assert sorted(groups.replace('"', "").split()) == files
    assert all(f'"{file}"' in (ROOT / "tests/lab/report.py").read_text() for file in files)


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci/run"], ids=name)
def test_scripts_are_executable_bash_that_stops_at_the_first_failure(script: Path) -> None:
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "lib.sh" in text or "set -euo pipefail" in text
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


def test_a_failed_stage_is_told_and_the_others_still_run() -> None:
    done = bash("source scripts/lib.sh; stage bad false; stage good true; finish")
    assert done.returncode == 1
    assert re.search(r"bad +FAILED +\d+ s", done.stdout)
    assert re.search(r"good +ok +\d+ s", done.stdout)
    assert "-- FAILED: bad" in done.stdout


def test_good_stages_end_well() -> None:
    done = bash("source scripts/lib.sh; stage one true; stage two true; finish")
    assert done.returncode == 0
    assert "all ok" in done.stdout


def test_the_environments_stamp_follows_requirements_and_constraints(tmp_path: Path) -> None:
    constraint = tmp_path / "constraint.txt"
    constraint.write_text("numpy==1.24.*\n")
    plain = bash("source scripts/lib.sh; wanted_stamp", PIP_CONSTRAINT="").stdout
    assert re.fullmatch(r"[0-9a-f]{64}\n", plain)
    assert bash("source scripts/lib.sh; wanted_stamp", PIP_CONSTRAINT=str(constraint)).stdout != plain


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with nothing but .ci/run and a scripts/test that shows its environment."""
    clone = tmp_path / "clone"
    (clone / ".ci").mkdir(parents=True)
    (clone / "scripts").mkdir()
    shutil.copy(ROOT / ".ci/run", clone / ".ci/run")
    stub = clone / "scripts/test"
    stub.write_text('#!/bin/sh\necho "${BMS_TEST_DATA:-none} $CI $BMS_REQUIRE_DATA"\n')
    stub.chmod(0o755)
    return clone


@pytest.mark.parametrize(
    ("beside", "given", "expected"),
    [(True, "", "{parent}/shared/data"), (False, "", "none"), (True, "/elsewhere", "/elsewhere")],
    ids=["data beside the clone", "no data", "data named by the caller"],
)
def test_ci_takes_the_data_that_it_finds_and_skips_nothing(
    clone: Path, beside: bool, given: str, expected: str
) -> None:
    if beside:
        (clone.parent / "shared/data").mkdir(parents=True)
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("BMS_", "CI"))}
    environ |= {"BMS_TEST_DATA": given} if given else {}
    done = subprocess.run([clone / ".ci/run"], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected.format(parent=clone.parent), "true", "1"]


# ------------------------------------------------------------------ size
def long_functions(tree: ast.Module) -> list[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 60]


def test_modules_are_short_and_say_what_they_are_for() -> None:
    found = []
    for module in MODULES:
        text = module.read_text()
        tree = ast.parse(text)
        found += [f"{name(module)}: {function} is longer than 60 lines" for function in long_functions(tree)]
        if (lines := len(text.splitlines())) > 400:
            found.append(f"{name(module)}: {lines} lines, more than 400")
        if text.strip() and not ast.get_docstring(tree):
            found.append(f"{name(module)}: does not say what it is for")
    assert not found
