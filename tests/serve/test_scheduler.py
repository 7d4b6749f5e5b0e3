"""The queue: fair, bounded, quick to forget, and finished in good order."""

import asyncio
import threading
from collections import deque

import numpy as np
import pytest
from serving import PATIENCE

from unisono.errors import InputError
from unisono.interface import Speech
from unisono.serve.engine import BatchEngine, Call, Cancelled, Event, Job, TurnEngine
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
            assert self.gate.wait(PATIENCE)
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
        assert scheduler.stop(PATIENCE)
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
        assert scheduler.stop(PATIENCE)
        with pytest.raises(Refused) as caught:
            scheduler.submit(Job("a:1"), "x")
        assert caught.value.kind == "stopping"

    asyncio.run(run())


def test_a_place_is_kept_for_work_that_is_made_ready():
    async def run():
        scheduler = schedule(Fake(), waiting=2, per_client=1)
        with scheduler.reserve("x") as place:
            with pytest.raises(Refused) as caught:
                scheduler.submit(Job("a:1"), "x")
            assert caught.value.kind == "client" and scheduler.waiting == 1
            with scheduler.reserve("y"), pytest.raises(Refused) as caught:
                scheduler.reserve("z")
            assert caught.value.kind == "full" and scheduler.waiting == 1  # given back
            stopping = asyncio.create_task(asyncio.to_thread(scheduler.stop, PATIENCE))
            while scheduler.alive:
                await asyncio.sleep(0.001)
            assert await pieces(place.fill(Call(lambda model: 7))) == [7]  # what was taken is finished
        assert await stopping
        with pytest.raises(Refused):
            place.fill(Call(lambda model: 7))

    asyncio.run(run())


class Noting(TurnEngine):
    """Notes what it is asked for; its first row joins when the gate is open."""

    def __init__(self, model):
        super().__init__(model)
        self.notes, self.begun, self.gate = [], threading.Event(), threading.Event()

    def join(self, key, job, check):
        self.begun.set()
        assert self.gate.wait(PATIENCE)
        self.notes.append(job.text)
        super().join(key, job, check)

    def step(self, keys):
        self.notes.append("step")
        return super().step(keys)

    def leave(self, key):
        asking = threading.Thread(target=lambda: self.scheduler.waiting)
        asking.start()
        asking.join(PATIENCE)
        assert not asking.is_alive()
        super().leave(key)


def test_few_rows_join_at_a_step_in_turn_and_without_the_lock():
    async def run():
        engine = Noting(Fake())
        scheduler = engine.scheduler = Scheduler(engine, slots=8)
        scheduler.start()
        handles = [scheduler.submit(Job("a1:9"), "a")]
        assert await asyncio.to_thread(engine.begun.wait, PATIENCE)
        # The thread is busy with a row that joins; who submits does not wait for it.
        handles += [scheduler.submit(Job(text), text[0]) for text in ("a2:9", "a3:9", "a4:9", "b1:9", "b2:9")]
        engine.gate.set()
        await asyncio.gather(*map(pieces, handles))
        assert scheduler.stop(PATIENCE)
        return engine.notes

    bursts = " ".join(asyncio.run(run())).split("step")
    assert [burst.split() for burst in bursts if burst.strip()] == [
        ["a1:9"],
        ["b1:9", "b2:9"],
        ["a2:9", "a3:9"],
        ["a4:9"],
    ]


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
        assert scheduler.stop(PATIENCE)

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
        assert scheduler.alive and scheduler.stop(PATIENCE)

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
        assert scheduler.stop(PATIENCE)

    asyncio.run(run())


def test_stopping_finishes_what_was_taken():
    async def run():
        scheduler = schedule(Fake(), slots=2)
        handles = [scheduler.submit(Job(f"{i}:3"), "x") for i in range(8)]
        assert await asyncio.to_thread(scheduler.stop, PATIENCE)
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
        assert scheduler.stop(PATIENCE)

    asyncio.run(run())


def test_events_for_rows_that_are_gone_are_dropped():
    scheduler = Scheduler(TurnEngine(Fake()))
    scheduler._deliver(Event(99, SECOND))
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


class Row:
    """A job of `FakeBatches`."""

    def __init__(self, text):
        self.name, self.left = text.split(":")[0], int(text.split(":")[1])
        self.pieces, self.done, self.error = deque(), False, None


class FakeBatches:
    """A model that speaks many texts at once, one-second pieces a step."""

    def __init__(self):
        self.rows, self.together, self.gate = [], [], threading.Event()
        self.gate.set()

    def engine(self, rows=None):
        self.rows = []
        return self

    def submit(self, engine, text, *, voice, seed):
        if text.startswith("refused"):
            raise InputError("refused")
        self.rows.append(Row(text))
        return self.rows[-1]

    def cancel(self, job):
        self.rows.remove(job)

    def step(self, resting=()):
        assert self.gate.wait(PATIENCE)
        rows = [row for row in self.rows if row not in resting]
        self.together.append(sorted(row.name for row in rows))
        if "bug" in self.together[-1]:
            raise ZeroDivisionError
        for row in rows:
            row.left -= 1
            row.pieces.append(SECOND)
            if row.left == 0:
                row.done, row.error = True, InputError("bad text") if row.name == "bad" else None
                self.rows.remove(row)


def test_rows_of_a_batch_step_together_come_and_go():
    async def run():
        model = FakeBatches()
        scheduler = Scheduler(BatchEngine(model), slots=4)
        model.gate.clear()
        scheduler.start()
        first = [scheduler.submit(Job(text), "x") for text in ("a:2", "b:3", "bad:1", "refused:1", "c:3")]
        gone = scheduler.submit(Job("gone:1000"), "x")
        while "gone" not in [row.name for row in model.rows]:
            model.gate.set()
            await asyncio.sleep(0.001)
        gone.cancel()
        with pytest.raises(Cancelled):
            await pieces(gone)
        results = await asyncio.gather(*map(pieces, first), return_exceptions=True)
        assert [len(found) if isinstance(found, list) else str(found) for found in results] == [
            2,
            3,
            "bad text",
            "refused",
            3,
        ]
        assert max(map(len, model.together)) > 1
        assert await pieces(scheduler.submit(Call(lambda model: 7), "x")) == [7]
        assert model.rows == [] and scheduler.active == 0
        with pytest.raises(ZeroDivisionError):
            await pieces(scheduler.submit(Job("bug:1"), "x"))
        assert len(await pieces(scheduler.submit(Job("d:2"), "x"))) == 2
        assert scheduler.stop(PATIENCE)

    asyncio.run(run())


def test_a_row_of_a_batch_that_nobody_reads_from_rests():
    async def run():
        model = FakeBatches()
        scheduler = Scheduler(BatchEngine(model), slots=1, ahead=2.0)
        scheduler.start()
        slow = scheduler.submit(Job("slow:50"), "slow")
        assert len(await pieces(scheduler.submit(Job("quick:20"), "quick"))) == 20
        assert sum("slow" in names for names in model.together) <= 3
        assert len(await pieces(slow)) == 50
        assert scheduler.stop(PATIENCE)

    asyncio.run(run())


def test_calls_are_done_one_a_step_so_that_speakers_go_on():
    async def run():
        model = FakeBatches()
        scheduler = Scheduler(BatchEngine(model), slots=8)
        model.gate.clear()
        scheduler.start()
        speaker = scheduler.submit(Job("a:40"), "x")
        calls = [scheduler.submit(Call(lambda model: len(model.together)), "y") for _ in range(4)]
        model.gate.set()
        steps = [(await pieces(call))[0] for call in calls]
        assert len(set(steps)) == 4  # a step of the speaker's between any two
        assert len(await pieces(speaker)) == 40
        assert scheduler.stop(PATIENCE)

    asyncio.run(run())
