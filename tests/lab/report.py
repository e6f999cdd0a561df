"""``report.py FOLDER``: docs/lab.md from what the lab tests have measured and their witnesses have said."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

HEAD = """# Kernel lab

Written by `scripts/lab test --docs`: the wheel, installed as on a Raspberry Pi, with
`config/raspberry-pi-16s-lfp.toml` as it is shipped, but for what a case names after "with", and the unit's user,
groups, limits, notification socket and watchdog, on real device nodes: `/dev/i2c-1` (CUSE), gpio-sim, a pty,
SocketCAN. The other shipped configurations have a part of their own, on their own nodes: `/dev/spidev1.0` (CUSE) with
eight LTC6811, an IVT-S on `can1`, two chips on one I2C adapter. The kernel is {kernel}, as an ordinary process beside
other work: its timers are some milliseconds late, and all of it shares one processor.

"Pi" keeps a line's level when the process dies, "BeagleBone" releases it. Coil times are the rig's, which looks at the
lines every 4 ms; the reaction time is taken from the kernel's own tracepoint.
"""
TITLES = {
    "test_operation.py": "Operation",
    "test_reaction.py": "Reaction time",
    "test_ends.py": "However the process ends",
    "test_buses.py": "I2C and serial line",
    "test_can.py": "CAN",
    "test_pins.py": "Contactors and lines",
    "test_installations.py": "The other shipped configurations",
}


def main(folder: Path) -> None:
    rows = [json.loads(line) for path in sorted(folder.rglob("cases.jsonl")) for line in path.read_text().splitlines()]
    kernel = next(folder.rglob("kernel.txt")).read_text().strip()
    print(HEAD.format(kernel=kernel))
    for file, title in TITLES.items():
        print(f"\n## {title}\n")
        ran = [row for row in rows if row["file"] == file]
        tries = Counter(row["case"] for row in ran)
        for row in {row["case"]: row for row in ran}.values():  # of a case that ran again, the last time
            print("\n".join(_case(row, tries[row["case"]])))


def _case(row: dict[str, Any], tries: int) -> list[str]:
    name = row["case"].removeprefix("test_").replace("_", " ")
    facts = "; ".join(f"{key}: {value}" for key, value in row["facts"].items())
    verdict = ("" if tries == 1 else " (second try)") + ("" if row["passed"] else " **failed**")
    edits = f", with {'; '.join(row['edits'])}" if row["edits"] else ""
    lines = [f"- {name}{edits}{verdict} ({row['took_s']:g} s){f': {facts}' if facts else ''}"]
    if row["witness"]:
        lines += ["  ```", *(f"  {line[:160]}" for line in row["witness"].splitlines()), "  ```"]
    return lines


if __name__ == "__main__":
    main(Path(sys.argv[1]))
