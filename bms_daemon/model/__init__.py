"""The frozen types that cross stages. Units and signs are stated here, once.

Units are in names: ``_v _a _ah _wh _w _ohm _degc _s``; fractions 0..1 carry no suffix.
Current is positive when charging. Times are monotonic seconds. Arrays are float64, one entry a cell or probe;
an entry that is not known is NaN.
"""

from __future__ import annotations

from bms_daemon.model.estimate import (
    Ageing,
    Binding,
    CapacitySource,
    CellStates,
    Estimate,
    PowerAhead,
    Remaining,
)
from bms_daemon.model.inputs import (
    AfeScan,
    BoolArray,
    BusFault,
    CanHealth,
    FloatArray,
    Health,
    Orders,
    Pins,
    Quality,
    Raw,
    Request,
    Sample,
    ShuntReading,
    TempScan,
    Trip,
    VcuRequest,
)
from bms_daemon.model.records import (
    Event,
    Survivor,
)
from bms_daemon.model.results import (
    Actuated,
    Channel,
    Command,
    Control,
    Domain,
    Doubt,
    Fault,
    Faults,
    Limits,
    Measured,
    PackState,
    Reaction,
    Snapshot,
)

__all__ = [
    "Actuated",
    "AfeScan",
    "Ageing",
    "Binding",
    "BoolArray",
    "BusFault",
    "CanHealth",
    "CapacitySource",
    "CellStates",
    "Channel",
    "Command",
    "Control",
    "Domain",
    "Doubt",
    "Estimate",
    "Event",
    "Fault",
    "Faults",
    "FloatArray",
    "Health",
    "Limits",
    "Measured",
    "Orders",
    "PackState",
    "Pins",
    "PowerAhead",
    "Quality",
    "Raw",
    "Reaction",
    "Remaining",
    "Request",
    "Sample",
    "ShuntReading",
    "Snapshot",
    "Survivor",
    "TempScan",
    "Trip",
    "VcuRequest",
]
