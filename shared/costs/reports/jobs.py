"""Finding the job a user means: exactly, by id or by path, and never a similar one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ..errors import UnknownJob, WrongUsage
from ..rollup import JobRef, Query
from ..storage import LEDGER_NAME
from .reader import Reader

_JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def find_job(reader: Reader, name: str) -> JobRef:
    """Return the job with exactly this id, or in this directory.

    Raises:
        UnknownJob: there is none; says which ids are nearest.
        WrongUsage: it is not a job id, or several jobs in different places have it.
    """
    if "/" in name or name in (".", ".."):
        return _in_directory(Path(name))
    if not _JOB_ID.fullmatch(name) or ".." in name:
        raise WrongUsage(f"not a job id: {name!r}; give the job's directory, with a / in it")
    found = reader.index.jobs(Query(job_id=name))
    if len(found) == 1:
        return found[0]
    if found:
        places = "".join(f"\n  {job.ledger.parent}" for job in found)
        raise WrongUsage(f"{len(found)} jobs are called {name}; give the directory of one:{places}")
    raise UnknownJob(f"no job is called {name}{_nearest(reader, name)}")


def _in_directory(directory: Path) -> JobRef:
    resolved = directory.resolve()
    ledger = resolved / LEDGER_NAME
    if not ledger.exists():
        raise UnknownJob(f"{directory} holds no {LEDGER_NAME}: no AI call was logged for a job there")
    return JobRef(resolved.name, ledger)


def _nearest(reader: Reader, name: str) -> str:
    from difflib import get_close_matches  # only when there is nothing else to show

    names = sorted({job.job_id for job in reader.index.jobs(Query())})
    if not names:
        return "; no job has logged a call yet"
    near = get_close_matches(name, names, n=5, cutoff=0.4)
    near = near or [other for other in names if name.lower() in other.lower()][:5]
    return "; nearest: " + ", ".join(near) if near else f"; there are {len(names)} others, none like it"
