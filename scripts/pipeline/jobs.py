"""Where jobs live: ``OUT/<date>/<job-id>/``, ids like ``job-20261122-rpatel-0001``, ``OUT/latest``.

A recording is known again by its content: with ``--resume`` the runner looks for a job of this
user whose ``job.json`` holds the same SHA-256, so a moved or renamed file still finds its job.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from .faults import WrongUsage
from .files import point_link
from .job import JOB_FILE, Job, Media, create_job

LATEST: Final = "latest"
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class JobFolder:
    """The folder that holds all jobs, for one user."""

    out: Path
    user_id: str

    def known(self, complain: Callable[[str], None]) -> dict[str, Job]:
        """Return this user's jobs by the SHA-256 of their recording; of several, the newest.

        A job that cannot be read is reported to ``complain`` and left out: it must not hold up others.
        """
        jobs = sorted(self._jobs(complain), key=lambda job: (job.record.created_at, job.id))
        return {job.record.media.sha256: job for job in jobs if job.user_id == self.user_id}

    def create(self, media: Media, now: datetime) -> Job:
        """Make the directory of a new job; two runners at once get two different ones."""
        day = self.out / now.date().isoformat()
        day.mkdir(parents=True, exist_ok=True)
        prefix = f"job-{now:%Y%m%d}-{_NOT_IN_IDS.sub('_', self.user_id)[:80]}-"
        number = 1 + max((_number(path.name, prefix) for path in day.iterdir()), default=0)
        while True:
            path = day / f"{prefix}{number:04d}"
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
                continue
            job = create_job(path, media, self.user_id)
            point_link(self.out / LATEST, path)
            return job

    def _jobs(self, complain: Callable[[str], None]) -> Iterator[Job]:
        for path in sorted(self.out.glob(f"*/*/{JOB_FILE}")):
            try:
                yield Job(path.parent)
            except WrongUsage as fault:
                complain(str(fault))


def _number(name: str, prefix: str) -> int:
    rest = name.removeprefix(prefix)
    return int(rest) if rest != name and rest.isdecimal() else 0


def as_media(path: Path) -> Media:
    """Describe a recording that was named on the command line.

    Raises:
        WrongUsage: there is no such file.
    """
    if not path.is_file():
        raise WrongUsage(f"{path}: there is no such recording or job directory")
    return Media.of(path)
