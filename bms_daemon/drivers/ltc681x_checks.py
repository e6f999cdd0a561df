"""What the devices of an LTC681x chain find of themselves: converters, references, multiplexers, wires to the cells.

Each check leaves registers behind that say nothing of cells: who reads them afterwards clears and converts first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from bms_daemon.drivers import ltc681x_codec as codec
from bms_daemon.drivers import ltc681x_parts as parts
from bms_daemon.drivers.isospi_chain import Chain
from bms_daemon.drivers.isospi_codec import words_of
from bms_daemon.drivers.isospi_notes import first
from bms_daemon.drivers.ltc681x_parts import NORMAL, Part
from bms_daemon.model import FloatArray

OVERLAP_COUNTS = 20  # of one cell by both converters, 2 mV
REDUNDANCY_CODE = 0xFF00  # from here on the second converter disagreed
NOTHING_V = 0.01  # what a cell reads at whose end the pull has taken the wire away
OPEN_RUNS = 2  # conversions with a pull, until a loose wire has followed it
MARGIN_S = 0.0002
Check = Callable[[Chain, Part], Awaitable[str]]


async def cell_converters(chain: Chain, part: Part) -> str:
    """Known patterns through the cells' converters; what is wrong in words, or nothing."""
    return await _patterns(chain, part, parts.CVST, part.cell_time_s, part.groups, "cell converter")


async def pin_converters(chain: Chain, part: Part) -> str:
    return await _patterns(chain, part, parts.AXST, part.aux_time_s, part.aux, "pin converter", part.gpios + 1)


async def status_converters(chain: Chain, part: Part) -> str:
    return await _patterns(chain, part, parts.STATST, part.stat_time_s, (parts.RDSTATA,), "status converter")


async def overlap(chain: Chain, part: Part) -> str:
    """One cell by two converters, where it is known which."""
    if not part.overlap:
        return ""
    await _convert(chain, part.cell_time_s, parts.CLRCELL, parts.ADOL | NORMAL)
    (found,) = await chain.read(parts.RDCV[2])
    seventh, eighth = found.words[:, 0].astype(int), found.words[:, 1].astype(int)
    return first("converters disagree", np.abs(seventh - eighth) > OVERLAP_COUNTS)


async def redundancy(chain: Chain, part: Part) -> str:
    """Every pin by two converters."""
    await _convert(chain, 2.0 * part.aux_time_s, parts.CLRAUX, parts.ADAXD | NORMAL)
    words = words_of(await chain.read(*part.aux))[:, : part.gpios + 1]
    return first("pin converters disagree", np.any(words >= REDUNDANCY_CODE, axis=1))


async def multiplexers(chain: Chain, part: Part) -> str:
    await _convert(chain, part.diagnose_s, parts.DIAGN)
    (found,) = await chain.read(parts.RDSTATB)
    return first("multiplexer test", codec.decode_status(part.cells, found.data).mux_fail)


CHECKS: tuple[Check, ...] = (
    cell_converters,
    pin_converters,
    status_converters,
    overlap,
    redundancy,
    multiplexers,
)


async def loose_wires(chain: Chain, part: Part, fitted: tuple[int, ...], open_wire_v: float) -> np.ndarray:
    """bool (devices, cells + 1): wires C0 to Cn that are open, of the ``fitted`` cells of each device.

    The single-wire method: a loose wire follows the pull, up and down, and its cells with it. A cell that reads nothing
    both ways is absent, which every scan tells sooner.
    """
    up_v = await _pulled(chain, part, parts.PULL_UP)
    down_v = await _pulled(chain, part, 0)
    found = np.zeros((chain.devices, part.cells + 1), dtype=bool)
    for device, cells in enumerate(fitted):
        up, down = up_v[device, :cells], down_v[device, :cells]
        found[device, 1:cells] = up[1:] - down[1:] < -open_wire_v
        found[device, 0] = up[0] < NOTHING_V <= down[0]
        found[device, cells] = down[-1] < NOTHING_V <= up[-1]
    return found


async def _pulled(chain: Chain, part: Part, pull: int) -> FloatArray:
    for _ in range(OPEN_RUNS):
        await _convert(chain, part.cell_time_s, parts.ADOW | NORMAL | pull)
    volts: FloatArray = words_of(await chain.read(*part.groups)) * codec.COUNT_V
    return volts


async def _patterns(
    chain: Chain, part: Part, test: int, time_s: float, groups: tuple[int, ...], what: str, words: int | None = None
) -> str:
    """Of the groups' words, the first ``words`` are converted."""
    for pattern, wanted in parts.PATTERNS:
        await _convert(chain, time_s, test | NORMAL | pattern)
        found = words_of(await chain.read(*groups))[:, :words]
        wrong = first(f"{what} test", (found != wanted).any(axis=1))
        if wrong:
            return wrong
    return ""


async def _convert(chain: Chain, time_s: float, *codes: int) -> None:
    await chain.send(*codes)
    await asyncio.sleep(time_s + MARGIN_S)
