"""Drivers by name: what exists loads, what does not is refused with what does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bms_daemon.config.section import Section
from bms_daemon.drivers import registry


@pytest.mark.parametrize(("role", "kind"), [(role, kind) for role in ("afe", "shunt") for kind in registry.kinds(role)])
def test_every_kind_has_a_settings_model(role: str, kind: str) -> None:
    model = registry.settings_model(role, kind)
    assert issubclass(model, Section)
    assert model.model_config["extra"] == "forbid"


@pytest.mark.parametrize(
    ("role", "kind", "named"),
    [("afe", "bq76930", "bq76952"), ("shunt", "bq76952", "vedirect"), ("gauge", "vedirect", "afe, shunt")],
)
def test_an_unknown_kind_is_refused_with_what_exists(role: str, kind: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        registry.settings_model(role, kind)


def test_no_driver_is_imported_before_it_is_asked_for() -> None:
    listing = "[name for name in sys.modules if 'bq76952' in name or 'vedirect' in name]"
    code = f"import sys, bms_daemon.drivers.registry; print({listing})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
