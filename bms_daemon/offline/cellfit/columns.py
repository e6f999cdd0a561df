"""Which columns of a recording of one cell mean what. The map is a TOML file in the style of `offline/columns.py`::

    schema = 1
    current = { column = "current_A", sign = 1 }
    voltage = { column = "voltage_V" }
    temperature = { column = "temp_C" }
    charge = { column = "ah" }      # the cycler's counter, rising when charging: only its differences count
    initial_soc = 1.0               # of every recording, where it is known
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from bms_daemon.config.section import Section
from bms_daemon.offline.columns import Column, parse_map


class CellColumns(Section):
    """The whole map; the default is this project's own names."""

    schema_: Literal[1] = Field(alias="schema", default=1)
    time: Column = Column(column="time_s")
    current: Column = Column(column="current_a")
    voltage: Column = Column(column="voltage_v")
    temperature: Column = Column(column="temperature_c")
    charge: Column | None = None
    initial_soc: float | None = Field(ge=0.0, le=1.0, default=None)

    @property
    def wants_temperature(self) -> bool:
        """A temperature column that somebody named has to be there; the default one need not."""
        return "temperature" in self.model_fields_set


def load_cell_map(path: Path | None) -> CellColumns:
    """The map in a file, or the default one. Raises ColumnError with every error."""
    return parse_map(path, CellColumns)
