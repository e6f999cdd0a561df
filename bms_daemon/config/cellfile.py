"""The cell file as types: an equivalent circuit over state of charge and temperature, with its source."""

from __future__ import annotations

import json
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from bms_daemon.config.section import CellVolts, Degrees, Seconds, Section

Row = Annotated[tuple[float, ...], Field(strict=False, min_length=2, max_length=200)]
Table = Annotated[tuple[Row, ...], Field(strict=False, min_length=1, max_length=24)]
Temperatures = Annotated[tuple[Degrees, ...], Field(strict=False, min_length=1, max_length=24)]


SHARE, ACTIVATION_K = 0.27, 4800.0  # usual for lithium cells: charge transfer with 40 kJ/mol over the gas constant
SLOW_SHARE = 0.7  # of slow pairs, which are diffusion: more of it obeys


class CellFileError(ValueError):
    """A cell file that cannot be used; the text names the file, every key and what would be right."""


class Identity(Section):
    """Which cell this is, and what it may be asked for. Limits are those of the data sheet."""

    name: str = Field(min_length=1, max_length=80)
    chemistry: Literal["lfp", "nmc"]
    source: str = Field(min_length=1, description="Who measured it, and how the numbers came about.")
    capacity_ah: float = Field(gt=0.0, le=5000.0, description="Between full and empty at 25 degC, at a small current.")
    min_v: CellVolts
    max_v: CellVolts
    charge_max_c: float = Field(gt=0.0, le=20.0, default=1.0, description="Largest charge current over capacity, 1/h.")
    discharge_max_c: float = Field(gt=0.0, le=50.0, default=3.0)
    charge_min_degc: Degrees = 0.0
    charge_max_degc: Degrees = 45.0
    discharge_min_degc: Degrees = -20.0
    discharge_max_degc: Degrees = 60.0


class OpenCircuit(Section):
    """Voltage at 25 degC over state of charge, rising; and its change with temperature below and above 25 degC."""

    soc: Row
    voltage_v: Row
    cold_v_per_k: Row
    warm_v_per_k: Row
    temperature_min_degc: Degrees = 0.0
    temperature_max_degc: Degrees = 45.0


class Resistance(Section):
    """Series resistance, and one resistance a time constant (an RC pair), each over temperature and state of charge.

    Outside of the temperatures of the table a resistance follows ``1 - share + share * exp(k * (1/T - 1/298.15 K))``,
    ``k`` being ``activation_k``: a part that does not depend on temperature and one that obeys Arrhenius. Of pairs
    slower than half a minute, which are diffusion, ``slow_share`` obeys it.
    The pairs see ``knee * asinh(i / knee)`` instead of the current ``i`` (charge transfer saturates, as in the
    Butler-Volmer equation); ``knee_c`` is that knee at 25 degC over capacity, 0 for none; it shrinks as the
    resistance grows.
    """

    soc: Row
    temperature_degc: Temperatures
    series_ohm: Table
    tau_s: Annotated[tuple[Seconds, ...], Field(strict=False, min_length=1, max_length=8)]
    pair_ohm: Annotated[tuple[Table, ...], Field(strict=False, min_length=1, max_length=8)]
    knee_c: float = Field(ge=0.0, le=100.0, default=3.0)
    share: float = Field(ge=0.0, le=1.0, default=SHARE)
    slow_share: float = Field(ge=0.0, le=1.0, default=SLOW_SHARE)
    activation_k: float = Field(ge=0.0, le=15000.0, default=ACTIVATION_K)


class Hysteresis(Section):
    """Half the distance of the charge and the discharge branch, over the resistances' temperatures and own states."""

    soc: Row
    voltage_v: Table
    rate: float = Field(gt=0.0, le=1000.0, description="e-folds of the hysteresis for a throughput of one capacity.")


class Heat(Section):
    """The cell as one mass that warms: heat capacity, and thermal resistance to its surroundings."""

    capacity_j_per_k: float = Field(gt=0.0, le=1e7)
    resistance_k_per_w: float = Field(gt=0.0, le=1e4)


class CellFile(Section):
    """The whole file."""

    schema_: Literal[1] = Field(alias="schema")
    cell: Identity
    ocv: OpenCircuit
    resistance: Resistance
    hysteresis: Hysteresis | None = None
    heat: Heat | None = None

    @model_validator(mode="after")
    def _shapes(self) -> CellFile:
        wrong = list(_misfits(self))
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def _misfits(file: CellFile) -> list[str]:
    ocv, res, hyst = file.ocv, file.resistance, file.hysteresis
    temps, wrong = len(res.temperature_degc), []
    rising = {"ocv.soc": ocv.soc, "ocv.voltage_v": ocv.voltage_v, "resistance.soc": res.soc}
    rising |= {"resistance.temperature_degc": res.temperature_degc, "resistance.tau_s": res.tau_s}
    wrong += [f"{key} must rise" for key, row in rising.items() if not _rises(row)]
    rows = {"ocv.voltage_v": ocv.voltage_v, "ocv.cold_v_per_k": ocv.cold_v_per_k, "ocv.warm_v_per_k": ocv.warm_v_per_k}
    wrong += [f"{key} needs {len(ocv.soc)} values, one a soc" for key, row in rows.items() if len(row) != len(ocv.soc)]
    tables = {"resistance.series_ohm": (res.series_ohm, res.soc)}
    tables |= {f"resistance.pair_ohm.{n}": (table, res.soc) for n, table in enumerate(res.pair_ohm)}
    tables |= {"hysteresis.voltage_v": (hyst.voltage_v, hyst.soc)} if hyst else {}
    for key, (table, soc) in tables.items():
        if len(table) != temps or any(len(row) != len(soc) for row in table):
            wrong.append(f"{key} needs {temps} rows of {len(soc)} values")
        if any(value < 0.0 for row in table for value in row):
            wrong.append(f"{key} must not be negative")
    if len(res.pair_ohm) != len(res.tau_s):
        wrong.append(f"resistance.pair_ohm needs {len(res.tau_s)} tables, one a tau_s")
    if not (ocv.soc[0] <= 0.0 and ocv.soc[-1] >= 1.0):
        wrong.append("ocv.soc must reach from 0 to 1")
    limits = file.cell.model_dump()
    pairs = [(f"{way}_min_degc", f"{way}_max_degc") for way in ("charge", "discharge")]
    for low, high in [("min_v", "max_v"), *pairs]:
        if limits[low] >= limits[high]:
            wrong.append(f"cell.{low} must be below cell.{high}")
    return wrong


def _rises(row: tuple[float, ...]) -> bool:
    return all(low < high for low, high in pairwise(row))


def load_cell(path: Path) -> CellFile:
    """Read and check one cell file. Raises CellFileError with every error."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return CellFile.model_validate_json(json.dumps(table, default=str))
    except FileNotFoundError:
        raise CellFileError(f"{path}: does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CellFileError(f"{path}: {_reasons(error)}") from None


def _reasons(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"cannot be read as TOML: {error}"
    lines = [f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors(include_url=False)]
    return "; ".join(lines)
