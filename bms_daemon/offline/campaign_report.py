"""The campaign's results as a document: detect, decide, actuate, and both totals beside their bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite

import numpy as np

from bms_daemon.model import Reaction
from bms_daemon.offline.campaign_result import Result
from bms_daemon.offline.campaign_runs import BOOT, OPERATION

HEADER = """# Reaction times

Written by `python -m bms_daemon.offline.campaign > docs/reaction-times.md`: the whole daemon with emulated chip, shunt,
lines and CAN bus, on manual time, in the configuration `config/demo.toml`. Every fault is injected in registers, bytes,
pins or the process itself, {phases} times at random phases against sampling, tick and the chip's own conversions.

Seconds from the fault being true at the sensor, as *p50 / p99 / largest*:

- **detect**: first tick in which validated data show the fault; **decide**: from there to the command or announcement
  (debounce is here); **actuate**: from there to the coil released, a STOP's grace included; 0.00 where hardware was
  first.
- **announced**: the limit frame that says it is on the bus, for STOP with the opening pending.
- **opened**: the coil is released in the emulated coil supply. For SECOND it is the second disconnect's line.

The current that flows does not obey, so a STOP always waits for its whole grace, except where a note says otherwise.
Contactor mechanics, 10 to 50 ms, come on top. What the bounds are made of says `bms-daemon check --timing`; rows are
those of the fault catalogue, and the rules behind them are in [faults.md](faults.md).
"""
OPERATION_HEAD = (
    "| case | fault | class | detect | decide | actuate | announced | bound | opened | bound | good |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)
BOOT_TEXT = """## Present at boot

The fault is there before the daemon starts; an operator asks to open, then to close, twice. A row of STOP and above
never closes; a lesser one keeps its class. Rows that only a closed pack can show open it within their bound, once.

| case | fault | good |
|---|---|---|"""
NOTES = """## What to know of single rows

- S24 in operation: the chip's outputs fall with its reset and release the coil at once; the daemon follows.
- S48 hot at boot blocks both directions: it is good whether a close came before its second sample or not.
- S48 hot, S49, C01 home and C04 home: the charger obeys what it hears on the bus, and the pack stays closed.
- A01 counts from the release of the coil that does not open the contact. A05 is the longest of three tries.
- A11 is an over-current whose cause goes with the current: for 20 s a controller asks to close, in vain. It has no
  boot, and A12 no operation: it is about the time before the first valid data.
- C10 at boot: the row becomes a STOP after 3 s without a frame, so the close is asked after that.
- P06: an exception in a source or inside a tick. P07: killed, so that nothing of the daemon runs any more; A16: hung,
  with its lines held. *Dead-man defeated*: its oscillator goes on by itself and the chip's host watchdog opens. At boot
  these come in the midst of a precharge. Every kill is followed by a restart on the same pack, which comes up SAFE and
  stays open.
- F03 in operation: a closed pack is left alone, the next start never closes.
"""
Pick = Callable[[Result], float]


def document(results: Sequence[Result], phases: int) -> str:
    """The whole of docs/reaction-times.md."""
    operation = [_operation_row(name, group) for name, group in _groups(results, OPERATION)]
    boot = [_boot_row(name, group) for name, group in _groups(results, BOOT)]
    head = [HEADER.format(phases=phases), "## In operation\n", OPERATION_HEAD]
    return "\n".join([*head, *operation, "", BOOT_TEXT, *boot, "", NOTES, *_unmet(results)])


def _unmet(results: Sequence[Result]) -> list[str]:
    """What is not good, with the first phase's words; nothing when everything is."""
    wrong: dict[tuple[str, str], str] = {}
    for result in results:
        if result.problems:
            wrong.setdefault((result.case, result.mode), "; ".join(result.problems))
    lines = [f"- {case}, {mode}: {text}." for (case, mode), text in wrong.items()]
    return ["## Not met\n", "In the words of the first phase that failed:\n", *lines, ""] if lines else []


def _groups(results: Sequence[Result], mode: str) -> list[tuple[str, list[Result]]]:
    names = sorted({result.case for result in results if result.mode == mode})
    return [(name, [r for r in results if r.mode == mode and r.case == name]) for name in names]


def _operation_row(name: str, group: list[Result]) -> str:
    first = group[0]
    times = [spread(group, pick) for pick in (_detect, _decide, _actuate, _announce)]
    opened = spread(group, lambda r: r.open_s)
    cells = (name, f"`{first.code}`", _class(first.reaction), *times, _bound(first.announce_bound_s), opened)
    return f"| {' | '.join(cells)} | {_bound(first.open_bound_s)} | {_good(group)} |"


def _boot_row(name: str, group: list[Result]) -> str:
    return f"| {name} | `{group[0].code}` | {_good(group)} |"


def _detect(result: Result) -> float:
    return result.detect_s


def _decide(result: Result) -> float:
    return result.decide_s


def _actuate(result: Result) -> float:
    return result.actuate_s


def _announce(result: Result) -> float:
    return result.announce_s


def spread(group: Sequence[Result], pick: Pick) -> str:
    """Median, 99th percentile and largest, in seconds; a dash where the row has no such step."""
    values = [pick(result) for result in group if isfinite(pick(result))]
    if not values:
        return "-"
    return " / ".join(f"{value:.2f}" for value in np.percentile(values, (50, 99, 100)))


def _bound(seconds: float) -> str:
    return f"{seconds:.2f}" if isfinite(seconds) else "-"


def _class(reaction: Reaction) -> str:
    return reaction.name.replace("_", "-")


def _good(group: Sequence[Result]) -> str:
    return f"{sum(not result.problems for result in group)} of {len(group)}"
