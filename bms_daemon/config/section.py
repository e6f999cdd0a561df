"""What every table of a configuration file is, and the kinds of values that many of them hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0.0, le=3600.0)]
Degrees = Annotated[float, Field(ge=-60.0, le=200.0)]
CellVolts = Annotated[float, Field(ge=0.0, le=6.0)]
Amps = Annotated[float, Field(gt=0.0, le=5000.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values are not converted, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
