"""Which jobs of a batch may start: those that the budget can finish.

A job is estimated by what its stages cost in earlier jobs, per minute of audio. As much as that is kept
for it in the budget before it starts, and less with every stage that is done. One that does not fit waits for
those that run; when none does, it is not started, and named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .job import Job


class NoRoom(Exception):
    """The budget cannot finish a job; the text says why."""


class Kept(Protocol):
    """Room in the budget that is kept for a job."""

    @property
    def environ(self) -> Mapping[str, str]:
        """What processes need in their environment to work within it."""

    def lower(self, usd: float) -> None:
        """Keep no more than this."""

    def close(self) -> None:
        """Keep nothing any more."""


class JobBudget(Protocol):
    """What the budget says of one job."""

    def most(self, stages: Sequence[str]) -> float | None:
        """Return what to keep for these stages, in USD; ``None`` where no earlier job tells."""

    def keep(self, stages: Sequence[str]) -> Kept:
        """Keep room for these stages.

        Raises:
            NoRoom: there is none.
        """

    def close(self) -> None:
        """Give up what it needed to know that."""


@dataclass
class Room:
    """What is kept in the budget for a job that runs; nothing where no earlier job tells what it costs."""

    budget: JobBudget
    stages: list[str]
    kept: Kept | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        """What the job's stages need in their environment."""
        return self.kept.environ if self.kept else {}

    def tried(self) -> str:
        """Keep room for the job where the budget has it; else return why not."""
        if not self.budget.most(self.stages):
            return ""  # it costs nothing, or nobody knows: its calls are held one by one
        try:
            self.kept = self.budget.keep(self.stages)
        except NoRoom as denied:
            return str(denied)
        return ""

    def done(self, stage: str) -> None:
        """Keep less, now that a stage is done."""
        self.stages = [name for name in self.stages if name != stage]
        if self.kept:
            self.kept.lower(self.budget.most(self.stages) or 0.0)

    def close(self) -> None:
        """Keep nothing any more."""
        if self.kept:
            self.kept.close()
        self.budget.close()


@dataclass
class Admissions:
    """Admits the jobs of one batch. ``refused`` says of which jobs, and why, they were not started."""

    budget_of: Callable[[Job], JobBudget]
    refused: dict[str, str] = field(default_factory=dict)
    _running: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def admitted(self, job: Job, stages: Sequence[str]) -> Room | None:
        """Return the room that a job has, once it has any; ``None`` where the budget cannot finish it."""
        room = Room(await asyncio.to_thread(self.budget_of, job), list(stages))
        async with self._changed:
            while (why := await asyncio.to_thread(room.tried)) and self._running:
                await self._changed.wait()
            if not why:
                self._running += 1
                return room
        self.refused[job.id] = why
        room.close()
        return None

    async def done(self, room: Room, stage: str) -> None:
        """Keep less for a job, and let those that wait look again."""
        await asyncio.to_thread(room.done, stage)
        async with self._changed:
            self._changed.notify_all()

    async def ended(self, room: Room) -> None:
        """Keep nothing for a job any more."""
        room.close()
        async with self._changed:
            self._running -= 1
            self._changed.notify_all()
