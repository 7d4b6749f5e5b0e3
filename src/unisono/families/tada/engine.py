"""Many texts at once: jobs that are taken up when there is room, and leave when they are done (TADA).

A job is a text on its way to speech: its sentences are planned one after the other, since each may hear the one before,
and each plan is a row among those of other jobs. Between two steps jobs may be added and given up. What a job says does
not depend on the jobs beside it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import torch

from unisono.families.tada.generate import finish
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.plan import Slots
from unisono.families.tada.rows import Row, Rows
from unisono.families.tada.work import Task, Work
from unisono.interface import Speech

ROWS = 16  # that step together: beyond it a processor gains little
ROWS_ACCELERATED = 64
MOST_HELPERS = 4


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
    coming: Future[Task] | None = None  # what a helper works at


class Ended(Exception):
    """Some work has nothing more to be done."""


def spare_cores(model: TadaForCausalLM) -> int:
    """Helpers of an engine: one a core where steps run on one thread, none where somebody asked for few threads.

    While they work the steps wait more often than not: texts of a length end together.
    """
    if model.device.type != "cpu" or torch.get_num_threads() > 1 or "OMP_NUM_THREADS" in os.environ:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_HELPERS) if cores > 1 else 0


class Engine:
    """Steps jobs together.

    Args:
        rows: at most so many at once; further jobs wait for their turn. None = as the device has it.
        helpers: threads that make the sound of sentences whose slots are there, and plan the next ones, while the
            others step; each job's work is done by one at a time, so that it says what it would say.
    """

    def __init__(self, model: TadaForCausalLM, rows: int | None = None, helpers: int = 0) -> None:
        self.rows = Rows(model)
        self.helpers = ThreadPoolExecutor(helpers) if helpers else None
        self.most = rows or (ROWS if model.device.type == "cpu" else ROWS_ACCELERATED)
        self.waiting: deque[Job] = deque()
        self.running: list[Job] = []

    def submit(self, begin: Callable[[deque[Speech]], Work[None]]) -> Job:
        """Add a job; it starts when there is room.

        Args:
            begin: makes the work, which puts its sound into the queue it is given (`live.saying`, `live.streaming`).
        """
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
        if job.coming is not None:
            wait([job.coming])
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
        self._take_up(asleep)
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

    def finish(self, job: Job) -> list[Speech]:
        """Step until a job is done, the others with it; its pieces. Raises what ended it early."""
        while not job.done:
            self.step()
        if job.error is not None:
            raise job.error
        return list(job.pieces)

    def _advance(self, job: Job, slots: Slots | None) -> None:
        """Hand a job its slots and let its next task join, at once or when a helper has done what comes before."""
        job.row = None
        if self.helpers is None or slots is None:
            self._join(job, lambda: _next_task(job.work, slots))
        else:
            job.coming = self.helpers.submit(_next_task, job.work, slots)

    def _take_up(self, asleep: Collection[Row | None]) -> None:
        """Let the tasks join that helpers are done with; wait for one where nothing else can go on."""
        coming = {job.coming: job for job in self.running if job.coming is not None}
        if coming and all(row in asleep for row in self.rows.rows):
            wait(coming, return_when=FIRST_COMPLETED)
        for future, job in coming.items():
            if future.done():
                job.coming = None
                self._join(job, future.result)

    def _join(self, job: Job, task: Callable[[], Task]) -> None:
        """Let a job's next task join, or close it where there is none."""
        try:
            job.task = task()
            job.row = self.rows.join(job.task.plan, job.task.draws, job.task.watch)
        except Ended:
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
        job.done, job.error, job.row, job.task, job.coming = True, error, None, None, None
        if job in self.running:
            self.running.remove(job)


def _next_task(work: Work[None], slots: Slots | None) -> Task:
    """What some work wants to be done after it got these slots. Raises what ended it: at its end `Ended`."""
    try:
        task = work.send(slots)
        while task is None:
            task = work.send(None)
    except StopIteration:
        raise Ended from None  # a future cannot hold the exception itself
    return task
