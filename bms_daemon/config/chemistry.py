"""What cells of a chemistry bear at most: limits outside of this are refused. Common data-sheet values."""

from __future__ import annotations

Envelope = dict[str, tuple[float, float]]

ENVELOPES: dict[str, Envelope] = {
    "lfp": {
        "cell.recharge_min_v": (1.0, 2.5),
        "cell.critical_min_v": (1.8, 3.0),
        "cell.min_v": (2.0, 3.2),
        "cell.max_v": (3.3, 3.65),
        "cell.critical_max_v": (3.4, 3.9),
        "temperature.charge_min_degc": (0.0, 20.0),
        "temperature.charge_max_degc": (20.0, 60.0),
        "temperature.discharge_min_degc": (-30.0, 20.0),
        "temperature.discharge_max_degc": (30.0, 65.0),
        "temperature.critical_max_degc": (40.0, 80.0),
    },
    "nmc": {
        "cell.recharge_min_v": (1.5, 2.9),
        "cell.critical_min_v": (2.3, 3.3),
        "cell.min_v": (2.5, 3.5),
        "cell.max_v": (3.9, 4.25),
        "cell.critical_max_v": (4.0, 4.35),
        "temperature.charge_min_degc": (0.0, 20.0),
        "temperature.charge_max_degc": (20.0, 60.0),
        "temperature.discharge_min_degc": (-30.0, 20.0),
        "temperature.discharge_max_degc": (30.0, 65.0),
        "temperature.critical_max_degc": (40.0, 80.0),
    },
}
