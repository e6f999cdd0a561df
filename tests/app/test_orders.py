"""What operators and controllers want: edges, precedence, expiry, shutdown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from daemon_bench import Vcu, daemon, manual, settings_in

from bms_daemon.app.orders import OrderBook
from bms_daemon.model import Orders, PackState, Request, Sample, VcuRequest
from bms_daemon.runtime.link_client import LinkClient
from bms_daemon.runtime.messages import LinkRequest
from bms_daemon.sim.settings import Constant


def said(seq: int, request: Request) -> Sample[VcuRequest]:
    return Sample(VcuRequest(request, False, False), 0.1 * seq, seq)


def hear(*requests: Request) -> list[Orders]:
    """The orders of one tick after each frame."""
    book, found = OrderBook(), []
    for seq, request in enumerate(requests):
        book.hear_vcu(said(seq, request))
        found.append(book.take(0.1 * seq))
    return found


def test_a_close_of_the_vcu_counts_once_and_only_as_a_change() -> None:
    heard = hear(Request.NONE, Request.CLOSE, Request.CLOSE, Request.NONE, Request.CLOSE)
    assert [orders.close for orders in heard] == [False, True, False, False, True]


def test_a_first_frame_that_says_close_is_no_edge() -> None:
    assert hear(Request.CLOSE, Request.CLOSE) == [Orders(), Orders()]


def test_an_open_of_the_vcu_is_a_standing_wish() -> None:
    assert [orders.open for orders in hear(Request.OPEN, Request.OPEN, Request.NONE)] == [True, True, False]


def test_a_recovery_of_the_vcu_is_an_edge_too() -> None:
    heard = hear(Request.NONE, Request.RECOVERY_CHARGE, Request.RECOVERY_CHARGE)
    assert [orders.recovery for orders in heard] == [False, True, False]


def test_a_frame_that_was_heard_before_or_failed_orders_nothing() -> None:
    book = OrderBook()
    book.hear_vcu(said(1, Request.OPEN))
    book.take(0.0)
    book.hear_vcu(said(1, Request.OPEN))
    book.hear_vcu(Sample(None, 0.2, 2, "the counter stands still"))
    book.hear_vcu(None)
    assert book.take(0.0) == Orders()


@pytest.mark.parametrize("first", ["open", "close"])
def test_an_open_beats_a_close_and_a_recovery_of_the_same_tick(first: str) -> None:
    book = OrderBook()
    for action in (first, "recovery_charge", "open", "close"):
        assert book.ask(action) is None
    assert book.take(0.0) == Orders(open=True)


def test_orders_are_taken_once() -> None:
    book = OrderBook()
    book.ask("close")
    book.ask("clear", "all")
    assert book.take(0.0) == Orders(close=True, clear=("all",))
    assert book.take(0.0) == Orders()


@pytest.mark.parametrize(
    ("action", "code", "expired"),
    [
        ("close", "", Orders()),
        ("recovery_charge", "", Orders()),
        ("clear", "emergency_stop", Orders()),
        ("open", "", Orders(open=True)),
    ],
)
def test_a_request_that_its_deadline_overtook_does_nothing_but_open(action: str, code: str, expired: Orders) -> None:
    book = OrderBook()
    book.ask(action, code, 10.0)
    assert book.take(10.001) == expired
    book.ask(action, code, 12.0)
    assert book.take(11.0) != Orders(), "the next one counts again"


@pytest.mark.parametrize("deadlines", [(1.0, 9.0), (9.0, 1.0)])
def test_of_two_equal_requests_the_later_deadline_counts(deadlines: tuple[float, float]) -> None:
    book = OrderBook()
    for deadline_s in deadlines:
        book.ask("close", "", deadline_s)
    assert book.take(5.0).close


@pytest.mark.parametrize("action", ["open", "close", "clear", "recovery_charge"])
def test_a_shutdown_refuses_everything_that_comes_after_it(action: str) -> None:
    book = OrderBook()
    book.shutdown = True
    assert "shutting down" in (book.ask(action, "all") or "")
    assert book.take(0.0) == Orders(shutdown=True)
    assert book.take(0.0) == Orders(shutdown=True), "a shutdown stands"


# ------------------------------------------------------------------ in the running daemon
def test_the_vcu_closes_and_opens_the_pack_by_its_frames(tmp_path: Path) -> None:
    async def scene() -> None:
        settings = settings_in(tmp_path, sim__world__profile=Constant())
        async with daemon(settings) as here:
            vcu = Vcu(settings.can.channel)

            async def saying(request: int, seconds: float) -> None:
                for _ in range(round(seconds / 0.1)):
                    vcu.say(request)
                    await asyncio.sleep(0.1)

            await saying(2, 2.0)
            assert here.state is PackState.STANDBY, "a close without an open before it must not count"
            await saying(1, 0.5)
            await saying(2, 2.0)
            assert here.state is PackState.CLOSED
            at_s = here.now_s
            await saying(1, 0.5)
            assert here.parts.gate.released_at(at_s) - at_s <= 0.06, "two ticks, and the frame's way in"
            vcu.close()

    manual(scene)


def test_close_and_open_in_one_tick_leave_the_pack_open(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path)) as here:
            await here.until(lambda: here.state is PackState.STANDBY)
            here.orders.ask("open")
            await asyncio.sleep(0.1)
            here.orders.ask("close")
            here.orders.ask("open")
            await asyncio.sleep(3.0)
            assert here.state is PackState.STANDBY
            assert here.parts.gate.trace == []

    manual(scene)


def test_a_link_request_is_acted_on_at_once_and_one_past_its_deadline_is_not(tmp_path: Path) -> None:
    async def scene() -> None:
        async with daemon(settings_in(tmp_path), linked=True) as here:
            await here.until(lambda: here.state is PackState.STANDBY)
            link = here.core.parts.link
            assert link is not None
            here.orders.ask("open")
            await asyncio.sleep(0.1)
            assert link._on_request(LinkRequest("a", "close", deadline_s=here.now_s - 0.001)) is None
            await asyncio.sleep(1.0)
            assert here.state is PackState.STANDBY
            count = len(here.seen)
            assert link._on_request(LinkRequest("b", "close", deadline_s=here.now_s + 1.0)) is None
            await asyncio.sleep(0.001)
            assert len(here.seen) > count and here.state is PackState.PRECHARGE, "a request runs a tick out of turn"

    manual(scene)


def test_the_same_request_twice_acts_once_and_is_answered_twice(tmp_path: Path) -> None:
    taken: list[str] = []

    async def scene() -> None:
        async with daemon(settings_in(tmp_path), linked=True) as here:
            await asyncio.sleep(0.5)
            ask = here.orders.ask

            def counting(action: str, *rest: object) -> str | None:
                taken.append(action)
                return ask(action)

            here.orders.ask = counting  # type: ignore[method-assign, assignment]
            async with LinkClient(here.settings.link.socket, timeout_s=600.0) as client:
                for _ in range(2):
                    assert (await client.request("open", request_id="same")).accepted

    manual(scene)
    assert taken == ["open"]
