"""The example of docs/can.md: it loads, and sends what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import cantools.database
import pytest
from command_line import DEMO, ROOT, placed
from helpers.full_snapshot import snapshot as full_snapshot

from bms_daemon.app import load_settings
from bms_daemon.can import mapping
from bms_daemon.config.schema import UserDbc

PAGE = (ROOT / "docs/can.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return str(found)


@pytest.fixture
def user(tmp_path: Path) -> UserDbc:
    (tmp_path / "inverter.dbc").write_text(block("dbc"))
    config = placed(DEMO, tmp_path)
    config.write_text(config.read_text() + block("toml"))
    found = load_settings(config).can.user_dbc
    assert found is not None
    return found


def test_the_example_sends_both_messages_in_the_units_of_their_signals(user: UserDbc) -> None:
    outgoing, errors = mapping.load(user)
    assert errors == []
    assert [(message.frame_id, message.cycle_s) for message in outgoing] == [(853, 0.5), (849, 0.1)]
    snapshot = full_snapshot()
    dbc = cantools.database.load_string(block("dbc"))
    payload = outgoing[1].rows[0](snapshot)
    scan = snapshot.measured.cells.value
    assert payload is not None and scan is not None
    sent = dbc.decode_message("Limits", payload)
    assert sent["Lowest"] == pytest.approx(1000.0 * float(scan.cell_v[0]), abs=0.51)  # type: ignore[index]
    assert sent["Charge"] == pytest.approx(snapshot.limits.charge_a, abs=0.051)  # type: ignore[index]


def test_a_wrong_path_unit_or_message_is_refused_with_every_error(user: UserDbc) -> None:
    first, second = user.messages
    wrong = (
        first.model_copy(update={"signals": {"Soc": "estimate.state", "Voltage": "measured.current_a"}}),
        second.model_copy(update={"message": "Limit"}),
    )
    outgoing, errors = mapping.load(user.model_copy(update={"messages": wrong}))
    assert outgoing == [] and len(errors) == 3
