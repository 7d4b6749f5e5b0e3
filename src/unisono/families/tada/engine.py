"""Many texts at once: jobs that are taken up when there is room, and leave when they are done (TADA).

A job is a text on its way to speech: its sentences are planned one after the other, since each may hear the one before,
and each plan is a row among those of other jobs. Between two steps jobs may be added and given up. What a job says does
not depend on the jobs beside it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import torch

from unisono.families.tada.generate import finish
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.plan import Slots
from unisono.families.tada.rows import Row, Rows
from unisono.families.tada.work import Task, Work
from unisono.interface import Speech

ROWS = 16  # that step together: beyond it a processor gains little
ROWS_ACCELERATED = 64
MOST_LANES = 4  # threads over which many texts are shared out


@dataclass(eq=False)
class Job:
    """What `Engine.submit` hands out.

    Attributes:
        pieces: sound that was made and not taken yet, in order; whoever takes it removes it.
        done: nothing more will come. error: why, where it is not the end of the text.
    """

    work: Work[None]
    pieces: deque[Speech] = field(default_factory=deque)
    done: bool = False
    error: Exception | None = None
    task: Task | None = None
    row: Row | None = None


Begin = Callable[[deque[Speech]], Work[None]]
"""Makes a job's work, which puts its sound into the queue it is given (`live.saying`, `live.streaming`)."""


class Engine:
    """Steps jobs together.

    Args:
        rows: at most so many at once; further jobs wait for their turn. None = as the device has it.
    """

    def __init__(self, model: TadaForCausalLM, rows: int | None = None) -> None:
        self.rows = Rows(model)
        self.most = rows or (ROWS if model.device.type == "cpu" else ROWS_ACCELERATED)
        self.waiting: deque[Job] = deque()
        self.running: list[Job] = []

    def submit(self, begin: Begin) -> Job:
        """Add a job; it starts when there is room."""
        pieces: deque[Speech] = deque()
        job = Job(begin(pieces), pieces)
        self.waiting.append(job)
        return job

    def cancel(self, job: Job) -> None:
        """Give a job up; one that is done stays as it is."""
        if job.done:
            return
        if job in self.waiting:
            self.waiting.remove(job)
        if job.row is not None:
            self.rows.leave(job.row)
        self._close(job)

    def step(self, resting: Collection[Job] = ()) -> bool:
        """Take up what there is room for, run one position of every job. Returns whether anything is left to do.

        Args:
            resting: running jobs that stay as they are this time, and take nobody's room.
        """
        while self.waiting and len(self.running) - len(resting) < self.most:
            job = self.waiting.popleft()
            self.running.append(job)
            self._advance(job, None)
        asleep = [job.row for job in resting]
        gone = set(map(id, self.rows.step(asleep)))
        for job in [job for job in self.running if job.row is not None and job not in resting]:
            if job.row.error is not None:
                self._close(job, job.row.error)
                continue
            if job.task.hear is not None and not self._heard(job):
                continue
            if id(job.row) in gone:
                self._advance(job, finish(job.row.plan, job.row.state))
        return bool(self.waiting or self.running)

    def finish(self, job: Job, given_up: Event | None = None) -> list[Speech]:
        """Step until a job is done, the others with it; its pieces. Raises what ended it early.

        Args:
            given_up: set by somebody who no longer wants it; then less comes.
        """
        while not job.done and not (given_up and given_up.is_set()):
            self.step()
        if job.error is not None:
            raise job.error
        return list(job.pieces)

    def _advance(self, job: Job, slots: Slots | None) -> None:
        """Hand a job its slots and let its next task join, or close it where there is none."""
        job.row = None
        try:
            job.task = _next_task(job.work, slots)
            job.row = self.rows.join(job.task.plan, job.task.draws, job.task.watch)
        except StopIteration:
            self._close(job)
        except Exception as problem:  # of this job alone: the others go on
            self._close(job, problem)

    def _heard(self, job: Job) -> bool:
        """Let a job hear its newest slot; False where that ended it."""
        try:
            job.task.hear(job.row.state)
        except Exception as problem:
            if job.row in self.rows.rows:
                self.rows.leave(job.row)
            self._close(job, problem)
            return False
        return True

    def _close(self, job: Job, error: Exception | None = None) -> None:
        job.work.close()
        job.done, job.error, job.row, job.task = True, error, None, None
        if job in self.running:
            self.running.remove(job)


def _next_task(work: Work[None], slots: Slots | None) -> Task:
    """What some work wants to be done after it got these slots. Raises StopIteration at its end, and what ended it."""
    task = work.send(slots)
    while task is None:
        task = work.send(None)
    return task


def lanes(model: TadaForCausalLM) -> int:
    """How many threads share out many texts: one a core where torch's products run on one thread, which is what loading
    a small model sets; this one alone where they run on more, or where `OMP_NUM_THREADS` says how many."""
    if model.device.type != "cpu" or torch.get_num_threads() > 1 or "OMP_NUM_THREADS" in os.environ:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_LANES)


def finish_all(model: TadaForCausalLM, jobs: Sequence[tuple[int, Begin]], threads: int) -> list[list[Speech]]:
    """The pieces of all jobs, each given with about how long it will take, on an engine a thread.

    What a job says does not depend on how they are shared out. Raises what ended a job early, where several did one of
    them; the others are given up.
    """
    if threads < 2 or len(jobs) < 2:
        engine = Engine(model)
        return [engine.finish(job) for job in [engine.submit(begin) for _, begin in jobs]]
    model.runner(), model.flow_head(), model.decoder  # made once, not by every thread
    order = sorted(range(len(jobs)), key=lambda index: -jobs[index][0])
    given_up, made = Event(), [[] for _ in jobs]

    def speak(indices: Sequence[int]) -> None:
        engine = Engine(model)
        try:
            for index, job in [(index, engine.submit(jobs[index][1])) for index in indices]:
                made[index] = engine.finish(job, given_up)
        except BaseException:
            given_up.set()
            raise

    with ThreadPoolExecutor(threads) as pool:
        try:
            for share in [pool.submit(speak, order[lane::threads]) for lane in range(min(threads, len(jobs)))]:
                share.result()
        finally:
            given_up.set()  # where this was interrupted
    return made
