"""When the journal is written: at its period, and at once when a latch or a counter that must survive changes."""

from __future__ import annotations

from dataclasses import replace

from bms_daemon.config.load import config_hash
from bms_daemon.config.schema import Settings
from bms_daemon.model import Survivor
from bms_daemon.runtime.journal import Journal
from bms_daemon.runtime.journal_writer import JournalWriter
from bms_daemon.tick import State, survivor_of

AGAIN_S = 1.0  # what changed is written a second time by then: into both generations, so that either may rot


class Keeper:
    """Holds what was commissioned and hands survivors to the writer."""

    def __init__(self, writer: JournalWriter, loaded: Survivor | None, configuration: str, period_s: float) -> None:
        kept = loaded or Survivor()
        self.commissioned = loaded is not None and bool(kept.commissioned_hash)
        self.approved = kept.commissioned_hash == configuration
        self._hash, self._boots = kept.commissioned_hash, kept.boots + 1
        self._writer, self._period_s = writer, period_s
        self._due_s = float("-inf")
        self._urgent: tuple[object, ...] = ()

    @property
    def ok(self) -> bool:
        return self._writer.ok

    def watch(self, state: State, now_s: float) -> None:
        """Write if it is time. Only a commissioned pack is written: a missing journal must stay missing."""
        control = state.ctrl.contactors.control
        urgent = (frozenset(state.prot.latched), control.closes, control.precharge_tries)
        if not self.commissioned or (urgent == self._urgent and now_s < self._due_s):
            return
        self._due_s = now_s + (self._period_s if urgent == self._urgent else min(AGAIN_S, self._period_s))
        self._urgent = urgent
        self._writer.put(survivor_of(state, self._hash, self._boots))

    async def finish(self, state: State, timeout_s: float = 5.0) -> bool:
        """The last write of an orderly end."""
        if self.commissioned:
            self._writer.put(survivor_of(state, self._hash, self._boots))
        done = await self._writer.flush(timeout_s)
        self._writer.close()
        return done


def commissioned(survivor: Survivor | None, configuration: str) -> Survivor:
    """The survivor that approves a configuration; what is known of the pack stays, latches included."""
    return replace(survivor or Survivor(), commissioned_hash=configuration)


def commission_afresh(settings: Settings) -> None:
    """A journal that approves these settings and knows nothing of the pack: simulated ones start so every time."""
    settings.journal.path.parent.mkdir(parents=True, exist_ok=True)
    Journal(settings.journal.path).save(commissioned(None, config_hash(settings)))
