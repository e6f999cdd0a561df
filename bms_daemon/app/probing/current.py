"""The current sensor: that it speaks, how often, how far from zero on an open pack, and whether two of them agree."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from bms_daemon.app.probing.bench import Bench, now_s
from bms_daemon.app.probing.finding import Finding, note, of_fault, ok, wrong
from bms_daemon.model import BusFault, ShuntReading
from bms_daemon.ports import CurrentSensor

READINGS = 10
PATIENCE = 3.0  # periods
SETUP_S = 5.0
ZERO_SHARE = 0.02  # of the rated current that an open pack may show


@dataclass(frozen=True, slots=True)
class Heard:
    readings: list[ShuntReading]
    interval_s: float


async def current_sensor(bench: Bench) -> list[Finding]:
    shunt, sensor = bench.settings.shunt, bench.sensor()
    if shunt is None or sensor is None:
        return [note("no current sensor beside the AFE")]
    what = f"{shunt.kind} on {shunt.port}"
    try:
        heard = await _listen(sensor, shunt.period_s)
    except BusFault as fault:
        return [of_fault(what, fault)]
    except TimeoutError:
        return [wrong(f"{what} is silent", "is it supplied, are its wires right, does it speak at this rate")]
    return [*_rhythm(what, heard, shunt.period_s), *_zero(bench, heard), *_pair(bench, heard)]


async def _listen(sensor: CurrentSensor, period_s: float) -> Heard:
    async with asyncio.timeout(SETUP_S):
        await sensor.setup()
    readings, times_s = [], []
    for _ in range(READINGS):
        async with asyncio.timeout(max(PATIENCE * period_s, 1.0)):
            readings.append(await sensor.read())
        times_s.append(now_s())
    return Heard(readings, float(np.median(np.diff(times_s))))


def _rhythm(what: str, heard: Heard, period_s: float) -> list[Finding]:
    text = f"{what} speaks every {1e3 * heard.interval_s:.0f} ms"
    if heard.interval_s <= 1.5 * period_s:
        return [ok(text)]
    return [wrong(f"{text}, shunt.period_s says {1e3 * period_s:.0f} ms", "set shunt.period_s, or speed the sensor up")]


def _zero(bench: Bench, heard: Heard) -> list[Finding]:
    """Nothing flows through an open pack."""
    amps = [reading.current_a for reading in heard.readings]
    mean_a, allowed_a = float(np.mean(amps)), max(1.0, ZERO_SHARE * bench.settings.pack.rated_current_a)
    text = f"{mean_a:+.2f} A with the pack open, noise {float(np.std(amps)):.2f} A"
    if abs(mean_a) <= allowed_a:
        return [ok(text), note("its sign shows only with a current: charge, and see that it is positive")]
    mend = "something flows past the contactors, or its zero is off: calibrate it, or look for a welded contact"
    return [wrong(text, mend)]


def _pair(bench: Bench, heard: Heard) -> list[Finding]:
    """Where the AFE measures the current, too."""
    if not bench.scans or not np.isfinite(bench.scans[-1].current_a):
        return []
    afe_a, shunt_a = bench.scans[-1].current_a, heard.readings[-1].current_a
    text = f"the AFE measures {afe_a:+.2f} A, the sensor {shunt_a:+.2f} A"
    if abs(afe_a - shunt_a) <= bench.settings.current.mismatch_a:
        return [ok(text)]
    return [wrong(text, "check shunt_mohm of both, and which one counts discharge as positive")]
