"""What is driven off after the core ended: every output that can be, whatever becomes of the others."""

from __future__ import annotations

import pytest

from bms_daemon.app.build import off
from bms_daemon.model import BusFault

OUTPUTS = frozenset({"main", "precharge", "dead_man", "second_disconnect"})


class OneRefused:
    """Lines of which one takes no write."""

    def __init__(self, refused: str) -> None:
        self.refused = refused
        self.off: set[str] = set()

    def write(self, values: dict[str, bool]) -> None:
        if self.refused in values:
            raise BusFault("busy", f"writing {self.refused}")
        assert not any(values.values())
        self.off |= values.keys()


@pytest.mark.parametrize("refused", sorted(OUTPUTS))
def test_a_line_that_is_refused_keeps_none_of_the_others(refused: str) -> None:
    lines = OneRefused(refused)
    with pytest.raises(BusFault, match=f"writing {refused}"):
        off(lines, OUTPUTS | {"fan", "alert"})  # type: ignore[arg-type]
    assert lines.off == OUTPUTS - {refused}


def test_only_fitted_outputs_are_written() -> None:
    lines = OneRefused("none")
    off(lines, frozenset({"main", "interlock"}))  # type: ignore[arg-type]
    assert lines.off == {"main"}
