"""The DC link: a capacitor with its bleed resistor and whatever else hangs on it."""

from __future__ import annotations

from math import exp, inf

from bms_daemon.sim.settings import LinkData


class DcLink:
    """``load_a`` is drawn whenever the link has a voltage; ``live_v`` is an outside source that holds the link up."""

    def __init__(self, data: LinkData) -> None:
        self.capacitance_f = data.capacitance_f
        self.precharge_ohm = data.precharge_ohm
        self.bleed_ohm = data.bleed_ohm
        self.load_a = 0.0
        self.live_v = 0.0
        self.link_v = 0.0

    def drawn_a(self, link_v: float) -> float:
        """What the link itself takes at a constant voltage."""
        return link_v / self.bleed_ohm + self.load_a

    def step(self, dt_s: float, feed_v: float, feed_ohm: float = inf) -> float:
        """Charge through ``feed_ohm`` from ``feed_v`` for ``dt_s``, exactly; returns the feed's mean current in A."""
        siemens = 1.0 / self.bleed_ohm + 1.0 / feed_ohm
        final_v = (feed_v / feed_ohm - self.load_a) / siemens
        turns = dt_s * siemens / self.capacitance_f
        kept = exp(-turns)
        excess_v = self.link_v - final_v
        mean_v = final_v + excess_v * (1.0 - kept) / turns if turns > 0.0 else self.link_v
        self.link_v = max(0.0, self.live_v, final_v + excess_v * kept)
        return (feed_v - max(0.0, self.live_v, mean_v)) / feed_ohm
