"""What each page shows: a report of :mod:`shared.costs.reports`, and the ways on from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple, TypeVar, cast

from ...analysis.pace import pace
from ...errors import CostError, UnknownJob, WrongUsage
from ...money import ZERO
from ...periods import Period, previous_month
from ...reports.call import call_facts, call_report
from ...reports.common import named
from ...reports.doctor import doctor_facts, doctor_report
from ...reports.document import Column, Note, Ref, Report, Table
from ...reports.lists import (
    A_PAGE,
    CallOrder,
    CallsQuestion,
    JobListQuestion,
    calls_facts,
    calls_report,
    job_list_facts,
    job_list_report,
    nothing_on,
    pages_of,
)
from ...reports.overview import OverviewQuestion, overview_facts, overview_report, period_named, previous_day
from ...reports.prices import price_report, prices_report, shown, some_listed
from ...reports.queries import month_of, zone_of
from ...reports.questions import BY, LABELS, UserMonth
from ...reports.reader import Reader
from ...reports.reservations import reservations_report
from ...reports.show_budget import budget_facts, budget_report
from ...reports.show_job import job_facts, job_report
from ...reports.show_monthly import same_days_before
from ...reports.show_optimization import SECTIONS
from ...reports.spec import FILTERS
from ...rollup import Dimension, JobOrder, Query
from .addresses import FILTER_LABELS, FILTER_NAMES, PageAddress
from .apart import ReportRequest
from .editing import EVERYONE, ORGANIZATION, who_of
from .questions import Field, Incomplete, about, form_of, question_of, specs

T = TypeVar("T")

MAX_VALUE: Final = 500
"""Longer values of an address are refused, in characters."""


class PageRequest(NamedTuple):
    """What a page is asked: from what, where it is, and the parts of its path by name.

    ``pairs`` are the values of its address as they stand there; ``apart`` asks reports in another process.
    """

    reader: Reader
    place: PageAddress
    parts: Mapping[str, str]
    pairs: Sequence[tuple[str, str]] = ()
    apart: Callable[[Sequence[ReportRequest]], Sequence[Report]] | None = None
    can_edit: bool = False


class NavLink(NamedTuple):
    """A link that leads on, and whether it leads here."""

    label: str
    href: str
    is_here: bool = False


class View(NamedTuple):
    """A page: its report, and where it leads. ``tab`` is the part of the site it belongs to.

    ``earlier`` and ``later`` are its neighbours in time, ``wider`` what it is a part of, ``switch`` other
    ways to divide the same, ``more`` what else there is about it, ``sorts`` other orders, ``pages`` the
    neighbours in a list that is longer than a page, ``periods`` other periods of the same list, ``parts``
    what else the report has; ``finds`` is what can be searched for on it. ``day`` is the last one that its
    amounts are of, if not today.
    """

    report: Report
    place: PageAddress
    tab: str
    earlier: NavLink | None = None
    later: NavLink | None = None
    wider: NavLink | None = None
    switch: tuple[NavLink, ...] = ()
    more: tuple[NavLink, ...] = ()
    sorts: tuple[NavLink, ...] = ()
    pages: tuple[NavLink, ...] = ()
    periods: tuple[NavLink, ...] = ()
    parts: tuple[NavLink, ...] = ()
    finds: str = ""
    form: tuple[Field, ...] = ()
    is_answered: bool = True
    can_filter: bool = False
    day: date | None = None


class SitePage(NamedTuple):
    """One address of the site: its path, what makes its view, and the values that it takes.

    A page with ``asks_apart`` takes long; ``None`` as values are those that its report has.
    """

    path: str
    view: Callable[[PageRequest], View]
    takes: frozenset[str] | None = frozenset()
    asks_apart: bool = False


def values_of(query: list[tuple[str, str]], page: SitePage) -> dict[str, str]:
    """Return the values of an address by the fields of the page's question; empty ones are left out.

    Raises:
        WrongUsage: one that the page does not take, comes twice, is too long or cannot be printed.
    """
    values: dict[str, str] = {}
    if page.takes is None:
        return values
    for name, value in query:
        field = "period" if name == "month" and "period" in page.takes else FILTER_NAMES.get(name, name)
        if field not in page.takes:
            known = ", ".join(sorted(FILTER_LABELS.get(each, each) for each in page.takes)) or "none"
            raise WrongUsage(f"{name!r} is not a value of this page; it takes {known}")
        if not value:
            continue
        if field in values:
            raise WrongUsage(f"{name!r} comes more than once")
        if len(value) > MAX_VALUE or not value.isprintable():
            raise WrongUsage(
                f"the value of {name!r} cannot be a name: at most {MAX_VALUE} printable characters"
            )
        values[field] = value
    return values


# --- periods


def overview(asked: PageRequest) -> View:
    """Return a year, a month or a day."""
    name, place = asked.parts["period"], asked.place
    by = place.values.get("by", "model")
    if by not in BY:
        raise WrongUsage(f"by is one of {', '.join(sorted(BY))}, not {by!r}")
    period = period_named(asked.reader, name, place.filters.get("user"))
    facts = overview_facts(asked.reader, OverviewQuestion(name, place.filters, BY[by]))
    earlier, later = _neighbours(period, place, asked.reader)
    return View(
        report=overview_report(facts),
        place=place,
        tab="months",
        earlier=earlier,
        later=later,
        wider=_wider(period, place),
        switch=tuple(
            NavLink(label, place.here(by=label.lower()), label.lower() == by) for label in LABELS.values()
        ),
        more=tuple(_more(name, period, place)),
        can_filter=True,
        day=period.dates()[-1],
    )


def _more(name: str, period: Period, place: PageAddress) -> Iterator[NavLink]:
    yield NavLink("Jobs", place.to("/jobs", {**place.filters, "period": name}))
    yield NavLink("Calls", place.to("/calls", {**place.filters, "period": name}))
    if period.kind == "month":
        user = {key: value for key, value in place.filters.items() if key == "user"}
        yield NavLink("Why", place.to(f"/months/{name}/why", user))
        yield NavLink("Savings", place.to(f"/months/{name}/savings", user))


def why(asked: PageRequest) -> View:
    """Return why a month cost more or less than the one before, and what stands out in it."""
    period, user = _month_asked(asked)
    pace_so_far = pace((ZERO,) * period.length_in_days, period, asked.reader.now)
    if not pace_so_far.days_begun:
        raise WrongUsage(f"{named(period)} has not begun")
    earlier, days = same_days_before(period, pace_so_far), period.dates()[: pace_so_far.days_begun]
    sides = [f"{dates[0]}..{dates[-1]}" for dates in (earlier.dates(), days)]
    difference, standing_out = _apart(
        asked,
        ReportRequest("explain", (("before", sides[0]), ("after", sides[1]), *user)),
        ReportRequest("anomalies", (("month", period.name), *user)),
    )
    said = {note.remedy for note in difference.notes if note.remedy}
    others = (note for note in standing_out.notes if note.remedy not in said)
    titles = ("Why it differs", *(table.title for table in difference.tables[1:]))
    reasons = (table._replace(title=title) for table, title in zip(difference.tables, titles, strict=False))
    before, after, change = difference.figures
    report = Report(
        title=f"Why {named(period)}",
        subtitle=difference.subtitle or difference.title,
        figures=(change, before, after),
        tables=(*reasons, *(table._replace(title=standing_out.title) for table in standing_out.tables)),
        notes=tuple(dict.fromkeys((*difference.notes, *others))),
        data={"difference": difference.data, "anomalies": standing_out.data},
    )
    return _of_month(asked, period, report)


def savings(asked: PageRequest) -> View:
    """Return what a month's calls would have cost otherwise, or with ``show`` another part of it."""
    period, user = _month_asked(asked)
    part = _one_of("show", asked.place.values.get("show", SECTIONS[0]), {each: each for each in SECTIONS})
    [report] = _apart(
        asked, ReportRequest("show-optimization", (("month", period.name), ("show", part), *user))
    )
    parts = tuple(NavLink(each.capitalize(), asked.place.here(show=each), each == part) for each in SECTIONS)
    return _of_month(asked, period, report)._replace(parts=parts)


def _month_asked(asked: PageRequest) -> tuple[Period, tuple[tuple[str, str], ...]]:
    user = asked.place.values.get("user")
    period = period_named(asked.reader, asked.parts["period"], user)
    if period.kind != "month":
        raise WrongUsage(f"not a month: {asked.parts['period']!r}; write it as 2026-11")
    return period, (("user", user),) if user else ()


def _of_month(asked: PageRequest, period: Period, report: Report) -> View:
    place = asked.place._replace(filtering=f"/months/{period.name}", more=asked.place.filters)
    wider = NavLink(named(period), asked.place.period(period.name))
    return View(report, place, "months", wider=wider, day=period.dates()[-1])


def _apart(asked: PageRequest, *asks: ReportRequest) -> Sequence[Report]:
    if asked.apart is None:
        raise WrongUsage("this page cannot be asked here")
    return asked.apart(asks)


def _neighbours(period: Period, place: PageAddress, reader: Reader) -> tuple[NavLink | None, NavLink | None]:
    if period.kind == "day":
        before, after = previous_day(period).isoformat(), period.end_day.isoformat()
    elif period.kind == "month":
        before, after = previous_month(period).name, f"{period.end_day:%Y-%m}"
    else:
        before, after = f"{period.first_day.year - 1}", f"{period.end_day:%Y}"
    later = NavLink(_spoken(after), place.period(after)) if period.end <= reader.now else None
    return NavLink(_spoken(before), place.period(before)), later


def _spoken(name: str) -> str:
    """Return a year, a month or a day as people say it.

    >>> _spoken("2026-11"), _spoken("2026-11-09")
    ('November 2026', '9 November')
    """
    if len(name) == len("2026-11-20"):
        return f"{date.fromisoformat(name).day} {date.fromisoformat(name):%B}"
    return f"{date.fromisoformat(f'{name}-01'):%B %Y}" if "-" in name else name


def _wider(period: Period, place: PageAddress) -> NavLink | None:
    first = period.first_day
    if period.kind == "day":
        return NavLink(f"{first:%B %Y}", place.period(f"{first:%Y-%m}"))
    return NavLink(f"{first:%Y}", place.period(f"{first:%Y}")) if period.kind == "month" else None


# --- lists


def jobs(asked: PageRequest) -> View:
    """Return the jobs of a month, or with ``all`` in its place of all time; a search is of all time."""
    values, place = asked.place.values, asked.place
    wanted = values.get("q", "")
    period = _list_period(asked, otherwise=ALL if wanted else None)
    order = _one_of("sort", values.get("sort", "newest"), JOB_ORDERS)
    question = JobListQuestion(period, place.filters, wanted, order, _page_number(values))
    facts = job_list_facts(asked.reader, question)
    return View(
        report=job_list_report(facts),
        place=place,
        tab="jobs",
        sorts=tuple(NavLink(label, place.here(sort=key), key == order) for key, label in JOB_ORDERS.items()),
        pages=_pages(place, question.page, facts.page.whole),
        periods=tuple(_periods(asked, period)),
        can_filter=True,
    )


def calls(asked: PageRequest) -> View:
    """Return the calls of a period, or of all time."""
    values, place = asked.place.values, asked.place
    period = _list_period(asked, otherwise=ALL if "job" in values else None)
    order = _one_of("sort", values.get("sort", "newest"), CALL_ORDERS)
    question = CallsQuestion(period, place.filters, None, order, _page_number(values))
    facts = calls_facts(asked.reader, question)
    return View(
        report=calls_report(facts),
        place=place._replace(narrows=bool(facts.jobs)),
        tab="jobs",
        sorts=tuple(NavLink(label, place.here(sort=key), key == order) for key, label in CALL_ORDERS.items()),
        pages=_pages(place, question.page, facts.found),
        periods=tuple(_periods(asked, period)),
        can_filter=True,
    )


ALL: Final = "all"
"""In the place of a period: all time."""

JOB_ORDERS: Final[Mapping[JobOrder, str]] = {
    "newest": "Latest",
    "cost": "Most expensive",
    "calls": "Most calls",
    "name": "Name",
}
CALL_ORDERS: Final[Mapping[CallOrder, str]] = {
    "newest": "Latest",
    "cost": "Most expensive",
    "tokens": "Most tokens",
}
_MOST_PAGES: Final = 1_000_000


def _list_period(asked: PageRequest, otherwise: str | None) -> str | None:
    """Return the name of the period of a list; ``None`` for all time."""
    present = otherwise or month_of(asked.reader, asked.place.filters.get("user")).name
    name = asked.place.values.get("period", present)
    return None if name == ALL else name


def _periods(asked: PageRequest, shown: str | None) -> Iterator[NavLink]:
    present = month_of(asked.reader, asked.place.filters.get("user"))
    known = {
        present.name: "This month",
        previous_month(present).name: "Last month",
        f"{present.first_day:%Y}": "This year",
    }
    if shown is not None and shown not in known:
        known = {shown: shown, **known}
    for name, label in known.items():
        yield NavLink(label, asked.place.here(period=name), name == shown)
    yield NavLink("All time", asked.place.here(period=ALL), shown is None)


def _one_of(name: str, value: str, known: Mapping[T, str]) -> T:
    if value not in known:
        raise WrongUsage(f"{name} is one of {', '.join(map(str, known))}, not {value!r}")
    return cast("T", value)


def _page_number(values: Mapping[str, str]) -> int:
    text = values.get("page", "1")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_PAGES):
        raise WrongUsage(f"page is a number from 1, not {text!r}")
    return int(text)


def _pages(place: PageAddress, page: int, count: int) -> tuple[NavLink, ...]:
    """Return the ways to the first page, the ones around and the last one."""
    last = pages_of(count)
    if last == 1 and page == 1:
        return ()
    shown = sorted({1, last, *range(max(1, page - 2), min(last, page + 2) + 1)})
    return tuple(NavLink(str(number), place.here(page=str(number)), number == page) for number in shown)


def call(asked: PageRequest) -> View:
    """Return one call."""
    facts = call_facts(asked.reader, asked.parts["call"])
    place = asked.place._replace(
        filtering="/calls", more={"period": f"{facts.entry.counted_at.astimezone(facts.zone):%Y-%m}"}
    )
    return View(call_report(facts), place, "jobs")


# --- jobs


def job(asked: PageRequest) -> View:
    """Return the receipt of a job. Where two share a name, its ledger's folder tells which."""
    name, folder = asked.parts["job"], asked.place.values.get("ledger")
    known = asked.reader.index.jobs(Query(job_id=name))
    if not known:
        raise UnknownJob(f"no job is called {name}")
    if folder is None and len(known) == 1:
        folder = str(known[0].ledger.parent)
    if folder not in {str(each.ledger.parent) for each in known}:
        raise UnknownJob(f"no job called {name} has its ledger in {folder}")
    facts = job_facts(asked.reader, f"{folder}/")
    place = asked.place._replace(filtering="/calls", more={"job": name, "period": ALL})
    more = (NavLink("Its calls", place.to("/calls", {"job": name, "period": ALL})),)
    return View(job_report(facts), place, "jobs", more=more)


# --- budgets and health


def budgets(asked: PageRequest) -> View:
    """Return how a user's limits stand, and what is held for calls in progress."""
    reader, place = asked.reader, asked.place
    user = place.values.get("user", reader.default_user)
    report = budget_report(budget_facts(reader, UserMonth(user, place.values.get("month"))))
    holds = reader.gate.holds()
    if holds:
        held = reservations_report(holds, zone_of(reader, user))
        report = report._replace(tables=(*report.tables, *held.tables), notes=(*report.notes, *held.notes))
    switch = tuple(NavLink(each, place.here(user=each), each == user) for each in _users(reader, user))
    return View(report, place, "budgets", periods=switch, more=tuple(_edits(asked, user)))


def _users(reader: Reader, shown: str) -> list[str]:
    """Return the users who have limits of their own or made calls this month."""
    present = month_of(reader, None)
    calling = reader.index.groups(("user_id",), Query(start=present.start, end=present.end))
    return sorted({shown, *reader.profile.users, *(str(group.key[0]) for group in calling)})[:MOST_USERS]


MOST_USERS: Final = 50
"""How many users a page of budgets names."""


def _edits(asked: PageRequest, user: str) -> Iterator[NavLink]:
    if asked.can_edit:
        for label, who in (
            (f"Change {user}'s limits", who_of(user)),
            ("Everyone's", EVERYONE),
            ("The organization's", ORGANIZATION),
        ):
            yield NavLink(label, asked.place.to("/budgets/edit", {"who": who}))


def health(asked: PageRequest) -> View:
    """Return what is wrong with the set-up or the ledgers."""
    return View(doctor_report(doctor_facts(asked.reader)), asked.place, "health")


# --- prices


def prices(asked: PageRequest) -> View:
    """Return what models cost today, or those with a word in their names."""
    reader, values = asked.reader, asked.place.values
    number = _page_number(values)
    models, count = some_listed(reader, reader.now, values.get("q", ""), (number - 1) * A_PAGE, A_PAGE)
    return View(
        report=_with_price_links(prices_report(models, reader.now), number, count),
        place=asked.place,
        tab="prices",
        pages=_pages(asked.place, number, count),
        finds="Find a model",
    )


def price(asked: PageRequest) -> View:
    """Return every price of a model."""
    model = shown(asked.reader, asked.parts["model"], asked.reader.now)
    return View(price_report(model, asked.reader.now), asked.place, "prices")


def _priced(service: str, model: str) -> Ref:
    return Ref(model, "price", f"{service}/{model}")


def _with_price_links(report: Report, page: int, count: int) -> Report:
    """Return the list of prices with the name of each model leading to its page, where all its rates are."""
    tables = tuple(
        table._replace(
            rows=tuple((_priced(table.title, str(row[0])), *row[1:]) for row in table.rows),
            empty=nothing_on(page, count, table.empty),
        )
        for table in report.tables
    )
    return report._replace(tables=tables, notes=())


# --- any report


def reports(asked: PageRequest) -> View:
    """Return the list of all reports."""
    columns = (Column("report", "Report"), Column("about", "What it says", wraps=True))
    rows = tuple((Ref(name, "report"), about(spec)) for name, spec in sorted(specs().items()))
    report = Report("Reports", tables=(Table("", columns, rows),), data={"reports": sorted(specs())})
    return View(report, asked.place, "reports")


def any_report(asked: PageRequest) -> View:
    """Return a report of any name with its form; the form alone while something is missing."""
    name = asked.parts["report"]
    spec = specs().get(name)
    if spec is None:
        raise UnknownReport(f"no report is called {name}")
    present = month_of(asked.reader, None).name
    place = asked.place._replace(filtering=f"/months/{present}")
    form = form_of(spec, asked.pairs)
    try:
        question_of(spec, asked.pairs)
        [report] = _apart(asked, ReportRequest(name, tuple(asked.pairs)))
    except Incomplete:
        return View(Report(name, about(spec)), place, "reports", form=form, is_answered=False)
    except WrongUsage as fault:
        if asked.pairs:
            raise
        report = Report(name, about(spec), notes=(Note(str(fault)),))
        return View(report, place, "reports", form=form, is_answered=False)
    return View(report, place, "reports", form=form)


MOST_KNOWN: Final = 300
"""How many values of a filter are offered."""


def known_values(reader: Reader) -> dict[str, list[str]]:
    """Return what calls of this month and the last were logged with, by filter, the first of each."""
    since = previous_month(month_of(reader, None)).start
    known: dict[str, list[str]] = {}
    for option in FILTERS.options:
        if option.completes == "job":
            names = {job.job_id for job in reader.index.jobs(Query(start=since))}
        else:
            by = cast("Dimension", option.completes)
            keys = (group.key[0] for group in reader.tagged.groups((by,), Query(start=since)))
            names = {name for key in keys if key is not None for name in str(key).split(",")}
        known[option.names[0].lstrip("-")] = sorted(names - {""})[:MOST_KNOWN]
    return known


class UnknownReport(CostError, LookupError):
    """No report has this name."""


_PERIOD: Final = frozenset({"by", *FILTER_LABELS})
_LIST: Final = frozenset({"period", "sort", "page", *FILTER_LABELS})

PAGES: Final = (
    SitePage("/years/{period}", overview, _PERIOD),
    SitePage("/months/{period}", overview, _PERIOD),
    SitePage("/days/{period}", overview, _PERIOD),
    SitePage("/months/{period}/why", why, frozenset({"user"}), asks_apart=True),
    SitePage("/months/{period}/savings", savings, frozenset({"user", "show"}), asks_apart=True),
    SitePage("/reports", reports),
    SitePage("/reports/{report}", any_report, None, asks_apart=True),
    SitePage("/jobs", jobs, _LIST | {"q"}),
    SitePage("/calls", calls, _LIST),
    SitePage("/calls/{call}", call),
    SitePage("/prices", prices, frozenset({"q", "page"})),
    SitePage("/prices/{model:path}", price),
    SitePage("/jobs/{job}", job, frozenset({"ledger"})),
    SitePage("/budgets", budgets, frozenset({"user", "month"})),
    SitePage("/health", health),
)
