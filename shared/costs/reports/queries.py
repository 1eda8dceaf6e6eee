"""What several reports ask: limits and their state, days, doubts, the job a user means, packed ledgers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from ..analysis.sums import by_day
from ..budgets.limits import Limit, Spending, limits_for, tightest_first
from ..budgets.spending import read_spendings
from ..errors import UnknownJob, WrongUsage
from ..ledger.lines import LedgerProblem
from ..ledger.spool import waiting_paths
from ..money import Nanos
from ..periods import Period
from ..pricing.names import infer_service
from ..rollup import Dimension, Group, JobRef, Query
from ..storage import LEDGER_NAME, printable
from .common import Health
from .document import Ref
from .questions import TimeSpan
from .reader import Reader, in_turn

if TYPE_CHECKING:
    from ..archive.restoring import Content
    from ..model import Entry
    from ..pricing.catalogue import Catalogue


def health(reader: Reader, *read: Query) -> Health:
    """Return what makes sums of this reader doubtful, or a report that is made of entries.

    Of those, ``read`` says which entries: of the ledgers that are gone, those alone matter that had some.
    """
    index = reader.index
    unread, gone = index.unread(), index.gone()
    if read:
        meant = {each.job.ledger for query in read for each in index.readable(query) if each.gone}
        gone = [each for each in gone if each.path in meant]
    return Health(
        problems=(*map(problem_ref, reader.problems()), *map(_unread_ref, unread)),
        degraded=index.degraded,
        prices_path=str(reader.prices_path or "prices.yaml"),
        waiting=len(waiting_paths(reader.storage)) - len(unread),
        gone=(len(gone), Nanos(sum(ledger.cost for ledger in gone))),
        reads_entries=bool(read),
    )


def problem_ref(problem: LedgerProblem) -> Ref:
    """Return what is wrong in a ledger in words that know where it is."""
    return Ref(str(problem), "path", str(problem.path))


UNREAD_LINE: Final = "waits in the spool and cannot be read"


def _unread_ref(path: Path) -> Ref:
    return Ref(f"{path} {UNREAD_LINE}", "path", str(path))


def spendings(reader: Reader, limits: Iterable[Limit]) -> tuple[Spending, ...]:
    """Return how limits stand, tightest first."""
    return tuple(tightest_first(read_spendings(limits, reader.index, reader.catalogue_name)))


def limits_in(reader: Reader, user_id: str, period: Period, job: JobRef | None = None) -> list[Limit]:
    """Return the limits that hold for a user in a period: in the present one also those of day and week."""
    now = reader.now
    if now in period:
        return limits_for(reader.profile, user_id, now, job)
    # The middle: at its start, another time zone is still in the month before.
    middle = period.start + (period.end - period.start) / 2
    return [
        limit
        for limit in limits_for(reader.profile, user_id, middle, job)
        if limit.period is not None and limit.period.kind == "month"
    ]


def monthly(limits: Iterable[Spending], owner: str | None) -> Spending | None:
    """Return the monthly limit of a user, or with ``None`` the organisation's; ``None`` without one."""
    months = (s for s in limits if s.limit.is_month and s.limit.scope.owner == owner)
    return next(months, None)


def zone_of(reader: Reader, user_id: str | None) -> ZoneInfo:
    """Return a user's time zone, or for several users the profile's."""
    profile = reader.profile
    return profile.timezone if user_id is None else profile.for_user(user_id).timezone


def period_of(reader: Reader, span: TimeSpan, user_id: str | None) -> Period:
    """Return the period that a span means for a user, or with ``None`` for everyone.

    Raises:
        WrongUsage: its options contradict each other, or name no month.
    """
    return span.period(reader.now, zone_of(reader, user_id), reader.billing_day)


def month_of(reader: Reader, user_id: str | None) -> Period:
    """Return the present month of a user, or with ``None`` of everyone."""
    return period_of(reader, TimeSpan(), user_id)


def within(reader: Reader, span: TimeSpan, query: Query) -> tuple[Period, Query]:
    """Return the period that a span means for the user of a query, and the query within it.

    All known ledgers are looked at first, so that their sums are up to date.
    """
    period = period_of(reader, span, query.user_id)
    reader.index.catch_up_all()
    return period, query._replace(start=period.start, end=period.end)


def days_of(reader: Reader, user_id: str | None, period: Period) -> tuple[Nanos, ...]:
    """Return the cost of each local day of a period."""
    return by_day(reader.index.spend_by_bucket(period.start, period.end, user_id=user_id), period)


def others(reader: Reader, query: Query) -> tuple[str, ...]:
    """Return the users who have such calls as ``query`` asks for, where it found none of its user's."""
    groups = reader.tagged.groups(("user_id",), query._replace(user_id=None))
    return tuple(str(group.key[0]) for group in groups)


def own_prices(reader: Reader) -> Catalogue | None:
    """Return the prices where the user named some for local work to be valued at; others load none for it."""
    if reader.prices_path is None or not reader.prices_path.exists():
        return None
    catalogue = reader.loaded_catalogue().catalogue
    return catalogue if catalogue.overrides is not None and catalogue.overrides.avoided else None


def by_part(
    reader: Reader, by: Sequence[Dimension], query: Query, parts: Sequence[Period]
) -> list[list[Group]]:
    """Return the sums of each part of a period; jobs are not counted."""
    return reader.tagged.groups_by_part(by, query, [(part.start, part.end) for part in parts])


def counted(reader: Reader, query: Query) -> tuple[Iterator[Entry], int]:
    """Return the entries that match, to be read once, and how many calls they are."""
    calls = sum(group.totals.calls for group in reader.tagged.groups((), query))
    return reader.tagged.entries(query), calls


@contextmanager
def reading(reader: Reader, label: str, query: Query) -> Iterator[Iterator[Entry]]:
    """Give the entries that match, to be read once, and show how far that is."""
    with reader.progress(label) as advance:
        [entries] = in_turn([counted(reader, query)], advance)
        yield entries


def jobs_in(reader: Reader, query: Query) -> int:
    """Return how many different jobs have entries that match."""
    [*groups] = reader.tagged.groups((), query)
    return groups[0].totals.jobs if groups else 0


def named_model(name: str) -> tuple[str, str]:
    """Return service and model of ``service/model``, or of a model whose name tells its service.

    >>> named_model("openai/gpt-4o"), named_model("gpt-4o"), named_model("acme-1")
    (('openai', 'gpt-4o'), ('openai', 'gpt-4o'), ('', 'acme-1'))
    """
    service, slash, model = name.partition("/")
    return (service, model) if slash else (infer_service(name) or "", name)


def find_job(reader: Reader, name: str) -> JobRef:
    """Return the job with exactly this id, or in this directory.

    Raises:
        UnknownJob: there is none; says which ids are nearest.
        WrongUsage: several jobs in different places have it.
    """
    if "/" in name or name in (".", ".."):
        return _in_directory(Path(name))
    name = printable(name)
    jobs = reader.index.jobs(Query(job_id=name))
    if len(jobs) == 1:
        return jobs[0]
    if jobs:
        places = "".join(f"\n  {job.ledger.parent}" for job in jobs)
        raise WrongUsage(f"{len(jobs)} jobs are called {name}; give the directory of one:{places}")
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
    return "; nearest: " + ", ".join(near) if near else f"; there are {len(names)} others, none similar"


def with_packed(reader: Reader, ledgers: Sequence[Path]) -> Iterator[tuple[Path, list[Content]]]:
    """Return ledgers in the order given, each with the contents of those that were packed away from there."""
    packed = groupby(reader.index.packed([each.resolve() for each in ledgers]), key=itemgetter(0))
    path, contents = next(packed, _NONE)
    for ledger in ledgers:
        if ledger.resolve() != path:
            yield ledger, []
            continue
        yield ledger, [content for _, content in contents]
        path, contents = next(packed, _NONE)


_NONE: Final[tuple[Path | None, Iterable[tuple[Path, Content]]]] = (None, ())


def at_hand(reader: Reader, ledgers: Sequence[Path]) -> Iterator[Path]:
    """Return for each ledger a path at which all of it can be read until the next one is requested.

    That is its own, unless it was packed away: then a private copy, with what was written there since at its
    end. What cannot be read back is left at its own path, where it is not.
    """
    from tempfile import NamedTemporaryFile  # only to read what was packed away

    for ledger, contents in with_packed(reader, ledgers):
        readable = [content for content in contents if isinstance(content, bytes)]
        if not readable or len(readable) < len(contents):
            yield ledger
            continue
        with NamedTemporaryFile(prefix="cost-ledger-") as copy:
            copy.writelines(readable)
            if ledger.exists():
                copy.write(ledger.read_bytes())
            copy.flush()
            yield Path(copy.name)
