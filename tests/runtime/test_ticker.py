"""Ticks come at absolute deadlines, late ones are counted, and none is made up for."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from bms_daemon.runtime.clock import run_manual
from bms_daemon.runtime.ticker import Tick, Ticker


def test_ticks_fall_on_the_deadlines_whatever_the_work_between_takes() -> None:
    async def main() -> list[Tick]:
        ticker = Ticker(0.02)
        ticks = []
        for work_s in (0.0, 0.013, 0.019, 0.001, 0.0):
            ticks.append(await ticker.wait())
            await asyncio.sleep(work_s)
        return ticks

    ticks = run_manual(main())
    assert [tick.now_s for tick in ticks] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.10])
    assert all(tick.lateness_s < 1e-6 and tick.missed == 0 and not tick.edge for tick in ticks)


def test_missed_ticks_are_counted_and_skipped_not_run_in_a_burst() -> None:
    async def main() -> list[Tick]:
        ticker = Ticker(0.02)
        await ticker.wait()
        await asyncio.sleep(0.075)  # from 0.02 to 0.095: the deadlines 0.04, 0.06 and 0.08 pass
        return [await ticker.wait(), await ticker.wait()]

    late, then = run_manual(main())
    assert (late.now_s, late.lateness_s) == pytest.approx((0.095, 0.055))
    assert late.missed == 2
    assert then.now_s == pytest.approx(0.10)
    assert then.missed == 0


def test_deadlines_do_not_drift_over_a_day_of_ticks() -> None:
    async def main() -> float:
        ticker = Ticker(0.02)
        for _ in range(50_000):
            tick = await ticker.wait()
        return tick.now_s

    assert run_manual(main()) == pytest.approx(1000.0, abs=1e-6)


def test_an_edge_runs_a_tick_at_once_and_leaves_the_deadlines() -> None:
    async def main() -> list[Tick]:
        ticker = Ticker(0.02)
        asyncio.get_running_loop().call_later(0.005, ticker.nudge)
        return [await ticker.wait(), await ticker.wait()]

    edge, regular = run_manual(main())
    assert edge.edge and edge.now_s == pytest.approx(0.005)
    assert not regular.edge and regular.now_s == pytest.approx(0.02)


def test_an_edge_during_a_tick_is_not_lost_and_counts_once() -> None:
    async def main() -> list[Tick]:
        ticker = Ticker(0.02)
        await ticker.wait()
        ticker.nudge()
        ticker.nudge()
        return [await ticker.wait(), await ticker.wait()]

    edge, regular = run_manual(main())
    assert edge.edge and edge.now_s == pytest.approx(0.02)
    assert not regular.edge and regular.now_s == pytest.approx(0.04)


def test_a_cancelled_wait_leaves_the_ticker_usable() -> None:
    async def main() -> Tick:
        ticker = Ticker(0.02)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ticker.wait()
        return await ticker.wait()

    assert run_manual(main()).now_s == pytest.approx(0.02)


def test_other_tasks_run_although_every_tick_is_late() -> None:
    async def main() -> int:
        ticker, turns = Ticker(0.001), 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await ticker.wait()
        turns = 0
        for _ in range(20):
            time.sleep(0.002)  # noqa: ASYNC251 the tick that hogs the loop
            await ticker.wait()
        task.cancel()
        ticker.close()
        return turns

    assert asyncio.run(main()) >= 19


def test_a_real_loop_ticks_by_timerfd_with_a_mean_period_that_is_exact() -> None:
    async def main() -> tuple[list[Tick], float]:
        started_s = asyncio.get_running_loop().time()
        ticker = Ticker(0.01)
        ticks = [await ticker.wait() for _ in range(20)]
        ticker.close()
        return ticks, started_s

    ticks, started_s = asyncio.run(main())
    for tick in ticks:
        phase_s = (tick.now_s - tick.lateness_s - started_s) % 0.01
        assert min(phase_s, 0.01 - phase_s) < 1e-3
    last = ticks[-1]
    served = round((last.now_s - last.lateness_s - started_s) / 0.01) + last.missed
    assert sum(1 + tick.missed for tick in ticks) == served


def test_a_manual_tick_costs_a_few_tens_of_microseconds_at_most() -> None:
    async def main() -> float:
        ticker = Ticker(0.02)
        started_s = time.process_time()
        for _ in range(5000):
            await ticker.wait()
        return (time.process_time() - started_s) / 5000

    assert run_manual(main()) < 100e-6


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="os.timerfd_* is used from 3.13 on")
def test_the_libc_timer_refuses_a_negative_time_with_its_errno() -> None:
    from bms_daemon.runtime import timerfd

    with pytest.raises(OSError) as caught:
        timerfd.periodic(-1.0, 0.02)
    assert caught.value.errno == 22
