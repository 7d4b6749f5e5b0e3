"""The queue: fair, bounded, quick to forget, and finished in good order."""

import asyncio
import threading

import numpy as np
import pytest

from unisono.errors import InputError
from unisono.interface import Speech
from unisono.serve.engine import Call, Cancelled, Event, Job, TurnEngine
from unisono.serve.scheduler import Refused, Scheduler

SECOND = Speech(np.zeros(100, np.float32), 100, "", [], [])


class Fake:
    """A model of one-second pieces that says who came when, and waits at a gate."""

    can_stream = True
    sample_rate = 100

    def __init__(self, open_gate=True):
        self.order, self.steps, self.gate = [], 0, threading.Event()
        if open_gate:
            self.gate.set()

    def stream(self, text, *, progress, **options):
        name, count = text.split(":")
        for _ in range(int(count)):
            assert self.gate.wait(10)
            self.steps += 1
            progress(0, 0)
            self.order.append(name)
            yield SECOND
        if name == "bad":
            raise InputError("bad text")
        if name == "bug":
            raise ZeroDivisionError


def schedule(model, **options):
    scheduler = Scheduler(TurnEngine(model), **options)
    scheduler.start()
    return scheduler


async def pieces(handle):
    return [piece async for piece in handle]


def test_clients_take_turns_however_much_one_asks_for():
    async def run():
        model = Fake(open_gate=False)
        scheduler = schedule(model, slots=2)
        greedy = [scheduler.submit(Job(f"a{i}:4"), "greedy") for i in range(6)]
        await asyncio.sleep(0.05)
        modest = scheduler.submit(Job("b:4"), "modest")
        model.gate.set()
        await asyncio.gather(*map(pieces, [*greedy, modest]))
        assert scheduler.stop(5)
        return model.order

    order = asyncio.run(run())
    # Two of the greedy client's may be under way, and one of them has to end first; then it is half and half.
    assert order.index("b") < 10 and len(order) == 28
    mine = [index for index, name in enumerate(order) if name == "b"]
    assert mine[-1] - mine[0] <= 7


def test_a_full_queue_and_a_greedy_client_are_refused():
    async def run():
        model = Fake(open_gate=False)
        scheduler = schedule(model, slots=1, waiting=3, per_client=2)
        taken = [scheduler.submit(Job("a:1"), "x")]
        while not scheduler.active:
            await asyncio.sleep(0.01)
        taken += [scheduler.submit(Job("a:1"), "x") for _ in range(2)]
        with pytest.raises(Refused) as caught:
            scheduler.submit(Job("a:1"), "x")
        assert caught.value.kind == "client"
        taken.append(scheduler.submit(Job("a:1"), "y"))
        with pytest.raises(Refused) as caught:
            scheduler.submit(Job("a:1"), "z")
        assert caught.value.kind == "full"
        model.gate.set()
        assert [len(found) for found in await asyncio.gather(*map(pieces, taken))] == [1] * 4
        assert scheduler.stop(5)
        with pytest.raises(Refused) as caught:
            scheduler.submit(Job("a:1"), "x")
        assert caught.value.kind == "stopping"

    asyncio.run(run())


def test_a_cancelled_row_takes_no_further_step():
    async def run():
        model, ended = Fake(open_gate=False), []
        scheduler = schedule(model, slots=1, ended=lambda handle, error: ended.append(error))
        handle = scheduler.submit(Job("a:100"), "x")
        queued = scheduler.submit(Job("b:100"), "x")
        while not scheduler.active:
            await asyncio.sleep(0.01)
        handle.cancel()
        queued.cancel()
        model.gate.set()
        for gone in (handle, queued):
            with pytest.raises(Cancelled):
                await pieces(gone)
        assert model.steps <= 1 and model.order == []
        assert [type(error) for error in ended] == [Cancelled, Cancelled]
        assert (scheduler.active, scheduler.waiting) == (0, 0)
        assert scheduler.stop(5)

    asyncio.run(run())


def test_errors_reach_who_asked_and_nobody_else():
    async def run():
        scheduler = schedule(Fake())
        bad, bug, good = (scheduler.submit(Job(text), "x") for text in ("bad:1", "bug:1", "good:3"))
        with pytest.raises(InputError, match="bad text"):
            await pieces(bad)
        with pytest.raises(ZeroDivisionError):
            await pieces(bug)
        assert len(await pieces(good)) == 3
        assert await pieces(scheduler.submit(Call(lambda model: 7), "x")) == [7]
        assert scheduler.alive and scheduler.stop(5)

    asyncio.run(run())


def test_a_client_that_does_not_read_holds_up_nobody():
    async def run():
        model = Fake()
        scheduler = schedule(model, slots=1, ahead=2.0)
        slow = scheduler.submit(Job("slow:50"), "slow")
        quick = scheduler.submit(Job("quick:5"), "quick")
        assert len(await pieces(quick)) == 5
        assert model.order.count("slow") <= 3
        assert len(await pieces(slow)) == 50
        assert scheduler.stop(5)

    asyncio.run(run())


def test_stopping_finishes_what_was_taken():
    async def run():
        scheduler = schedule(Fake(), slots=2)
        handles = [scheduler.submit(Job(f"{i}:3"), "x") for i in range(8)]
        assert await asyncio.to_thread(scheduler.stop, 5)
        assert [len(found) for found in await asyncio.gather(*map(pieces, handles))] == [3] * 8

    asyncio.run(run())


def test_an_engine_that_advances_many_rows_at_a_step_fits_the_seam():
    class Together(TurnEngine):
        def step(self, keys):
            return [event for key in keys for event in super(Together, self).step([key])]

    async def run():
        model = Fake()
        scheduler = Scheduler(Together(model), slots=4)
        scheduler.start()
        handles = [scheduler.submit(Job(f"{i}:3"), "x") for i in range(4)]
        assert [len(found) for found in await asyncio.gather(*map(pieces, handles))] == [3] * 4
        assert scheduler.stop(5)

    asyncio.run(run())


def test_events_for_rows_that_are_gone_are_dropped():
    scheduler = Scheduler(TurnEngine(Fake()))
    scheduler._deliver(Event(99, SECOND), 0.1)
    assert scheduler.active == 0


def test_a_fault_of_the_thread_leaves_nobody_without_an_answer():
    class Broken(TurnEngine):
        def join(self, key, job, check):
            raise ZeroDivisionError

    async def run():
        scheduler = Scheduler(Broken(Fake()), slots=1)
        scheduler.start()
        with pytest.raises(ZeroDivisionError):
            await pieces(scheduler.submit(Job("a:1"), "x"))
        assert not scheduler.alive
        with pytest.raises(Refused):
            scheduler.submit(Job("a:1"), "x")

    asyncio.run(run())
