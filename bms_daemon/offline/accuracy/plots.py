"""One run as a picture: state of charge true and estimated, and the error within its two-sigma band."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from bms_daemon.offline.accuracy.recordings import Drive
from bms_daemon.offline.accuracy.score import POINTS, Estimated

POINTS_DRAWN = 400
matplotlib.rcParams["svg.hashsalt"] = "bms-daemon"  # the same picture is the same file


def picture(path: Path, title: str, drive: Drive, found: Estimated) -> None:
    """Write an SVG of the first run in ``found``, thinned out."""
    rows = np.unique(np.linspace(0, drive.time_s.size - 1, POINTS_DRAWN).astype(int))
    hours, true, soc = drive.time_s[rows] / 3600.0, POINTS * drive.soc[rows], POINTS * found.soc[rows, 0]
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(hours, true, color="black", label="true")
    above.plot(hours, soc, color="tab:blue", linestyle="--", label="estimate")
    if found.sigma is not None:
        band = 2.0 * POINTS * found.sigma[rows, 0]
        below.fill_between(hours, -band, band, color="tab:blue", alpha=0.2, linewidth=0, label="two sigma")
    below.plot(hours, soc - true, color="tab:blue", label="error")
    above.set(title=title, ylabel="state of charge, %")
    limit = 1.3 * max(2.0, float(np.abs(soc - true)[hours * 3600.0 >= 600.0].max()))
    below.set(xlabel="hours", ylabel="percentage points", ylim=(-limit, limit))
    for axes in (above, below):
        axes.legend(loc="best", fontsize="small")
        axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Title": title, "Date": None, "Creator": None})
