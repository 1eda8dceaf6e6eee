"""Check budgets in scripts and CI: exit code 0 within budget, 1 over, 3 when it cannot tell.

With --strict also 1 when an alert threshold is crossed. Without --user: the default user; other users with
calls this month are named, and checked too with --everyone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from ..analysis.forecast import Forecast
from ..analysis.job import per_audio_minute
from ..analysis.pace import Pace
from ..analysis.sums import median, total
from ..budgets.limits import Spending
from ..errors import BAD_NEWS, FAILED, FINE, WrongUsage
from ..model import Entry
from ..money import Nanos, divide, percent, percent_words
from ..periods import Period
from ..rollup import BUCKET_SECONDS, Dimension, Group, JobRef, Measure, Query, Totals, bucket_of
from .common import Health, cell_of, doubts, named, owner, plural, unit_amounts, usd_amounts
from .document import Column, Note, Report, Table, Tone, Value, derive
from .forecast import limit_forecasts, projected
from .plans import PlanLimits, plan_limits, rough_notes
from .queries import find_job, health, limits_in, month_of, monthly, others, spendings
from .reader import Reader
from .show_job import entries_of_job
from .spec import USER, Option, Spec, parse_usd

JOB_DIMENSIONS: Final[tuple[Dimension, ...]] = ("job_id", "ledger", "bucket")
"""The key of the groups that :func:`jobs_of` takes, in this order."""


class JobCost(NamedTuple):
    """One job's sums in the queried period; ``last`` is its last 15-minute bucket."""

    job_id: str
    ledger: Path
    totals: Totals
    last: int

    @property
    def per_minute(self) -> Nanos | None:
        """What a minute of audio cost; ``None`` without audio."""
        return per_audio_minute(self.totals)


def jobs_of(groups: Iterable[Group]) -> list[JobCost]:
    """Return the jobs of groups keyed by :data:`JOB_DIMENSIONS`; the one that ended last comes last."""
    jobs: dict[tuple[str, str], JobCost] = {}
    for group in groups:
        job_id, ledger, bucket = str(group.key[0]), str(group.key[1]), int(group.key[2] or 0)
        job = jobs.setdefault((job_id, ledger), JobCost(job_id, Path(ledger), Totals(), bucket))
        job.totals.merge(group.totals)
        jobs[job_id, ledger] = job._replace(last=max(job.last, bucket))
    return sorted(jobs.values(), key=lambda job: (job.last, job.job_id))


def job_cost(job: JobRef, entries: Iterable[Entry]) -> JobCost:
    """Return the sums of all entries of one job.

    >>> job_cost(JobRef("job-1", Path("cost_ledger.jsonl")), []).totals.calls
    0
    """
    totals, last = Totals(), 0
    for entry in entries:
        totals.add(entry)
        last = max(last, bucket_of(entry.counted_at))
    return JobCost(job.job_id, job.ledger, totals, last)


Verdict = Literal["ok", "warning", "over", "unknown"]
"""``warning`` is a threshold below the limit; ``unknown`` where the data cannot tell."""

FEWEST_JOBS: Final = 3
"""With fewer earlier jobs there is no comparison."""


class Check(NamedTuple):
    """One check and its verdict; ``note`` gives the reason.

    Amounts are in nano-dollars, or calls or tokens as ``measure`` says.
    """

    name: str
    value: int | None
    allowed: int | None
    verdict: Verdict
    note: str = ""
    measure: Measure = "cost"


def limit_check(name: str, spent: int, limit: int, level: str, measure: Measure = "cost") -> Check:
    """Return whether a limit holds; ``level`` is its state: ok, warning or critical."""
    verdict: Verdict = "over" if level == "critical" else "warning" if level == "warning" else "ok"
    return Check(name, spent, limit, verdict, f"{percent_words(percent(spent, limit))} used", measure)


def forecast_check(name: str, projection: Pace | Forecast, limit: int) -> Check:
    """Return whether the projection stays within the limit; a warning where only the range's end is above it.

    With too few days for a range, a projection above the limit is ``unknown``.
    """
    if projection.low is None and projection.projected > limit:
        return Check(name, projection.projected, limit, "unknown", "too few days to tell")
    if projection.projected > limit:
        return Check(name, projection.projected, limit, "over", "on course to exceed it")
    if projection.high is not None and projection.high > limit:
        return Check(name, projection.projected, limit, "warning", "the upper end of its range is above")
    return Check(name, projection.projected, limit, "ok", "on course to stay below")


def job_check(jobs: Sequence[JobCost], most: Nanos) -> Check:
    """Return whether every job stays within ``most``; the note names the most expensive one."""
    name = "most expensive job"
    if not jobs:
        return Check(name, None, most, "ok", "no jobs")
    costliest = max(jobs, key=lambda job: job.totals.cost)
    over = sum(job.totals.cost > most for job in jobs)
    note = costliest.job_id if over < 2 else f"{costliest.job_id} and {over - 1} more"
    return Check(name, costliest.totals.cost, most, "over" if over else "ok", note)


def minute_check(jobs: Sequence[JobCost], most: Nanos) -> Check:
    """Return whether a minute of audio stays within ``most`` in every job; the note names the worst one."""
    name = "most expensive minute of audio"
    priced = [(job.per_minute, job) for job in jobs if job.per_minute is not None]
    if not priced:
        return Check(name, None, most, "ok", "no audio")
    highest, job = max(priced, key=lambda pair: pair[0])
    return Check(name, highest, most, "over" if highest > most else "ok", job.job_id)


def regression_check(jobs: Sequence[JobCost], last: int, more_percent: float) -> Check:
    """Return whether the newest job cost at most ``more_percent`` more than the median of those before.

    ``jobs`` are in the order in which they ended. Where all of them have audio, their cost per minute of it
    is compared, so that a longer recording is not a regression. The median is used because a single outlier
    does not move it, unlike the mean (https://www.itl.nist.gov/div898/handbook/eda/section3/eda351.htm). With
    fewer than three earlier jobs the verdict is ``unknown``.
    """
    compared = jobs[-last - 1 :]
    before, newest = compared[:-1], compared[-1] if compared else None
    if newest is None:
        return Check("newest job", None, None, "unknown", "no job yet")
    if len(before) < FEWEST_JOBS:
        too_few = f"only {plural(len(before), 'earlier job', 'earlier jobs')} to compare with"
        return Check("newest job", newest.totals.cost, None, "unknown", too_few)
    per_minute = [job.per_minute for job in (*before, newest)]
    with_audio = all(amount is not None for amount in per_minute)
    costs = (
        [amount or 0 for amount in per_minute]
        if with_audio
        else [job.totals.cost for job in (*before, newest)]
    )
    usual = median(costs[:-1])
    allowed = Nanos(divide(usual * round(100 * (100 + more_percent)), 10_000))
    name = "newest job, a minute" if with_audio else "newest job"
    return Check(name, Nanos(costs[-1]), allowed, "over" if costs[-1] > allowed else "ok", newest.job_id)


def exit_code(checks: Sequence[Check], *, strict: bool) -> int:
    """Return 0 within bounds, 1 when something is over (``strict``: or warned), 3 when a verdict is unknown.

    >>> exit_code([Check("x", None, None, "warning")], strict=False)
    0
    """
    verdicts = {check.verdict for check in checks}
    if "over" in verdicts or (strict and "warning" in verdicts):
        return BAD_NEWS
    return FAILED if "unknown" in verdicts else FINE


_ANSWERS: Final = MappingProxyType({FINE: "within bounds", BAD_NEWS: "over", FAILED: "cannot tell"})
_WORDS: Final[dict[Verdict, str]] = {
    "ok": "ok",
    "warning": "warned",
    "over": "OVER",
    "unknown": "cannot tell",
}
_TONES: Final[dict[Verdict, Tone]] = {"warning": "warning", "over": "critical", "unknown": "warning"}


class CheckFacts(NamedTuple):
    """What the report shows. ``user_id`` is ``None`` for everyone.

    ``others`` are users with calls this month who were not looked at, and how their own limits stand.
    """

    user_id: str | None
    period: Period
    checks: Sequence[Check]
    totals: Totals
    strict: bool
    health: Health = Health()
    others: Mapping[str, Verdict] = MappingProxyType({})
    roughly: Sequence[str] = ()

    @property
    def exit_code(self) -> int:
        """What the command returns."""
        return exit_code(self.checks, strict=self.strict)


COMPARED: Final = timedelta(days=92)
"""The newest job is compared with those that ended up to this long before, also in other months."""


class CheckBounds(NamedTuple):
    """What to check besides the limits. Amounts in nano-dollars; ``None`` is not checked.

    ``job`` narrows the checks of jobs to one; ``last`` is with how many earlier jobs the newest
    is compared, and ``more_percent`` how much more than their median it may cost.
    """

    forecast: bool = False
    max_per_job: Nanos | None = None
    max_per_minute: Nanos | None = None
    more_percent: float | None = None
    last: int = 10
    job: JobRef | None = None


class CheckQuestion(NamedTuple):
    """Whose limits, and which bounds besides; with ``strict`` a warning counts as over.

    Without ``user`` it is the default user, or with ``everyone`` all who have calls this month.
    """

    user: str | None = None
    everyone: bool = False
    strict: bool = False
    job: str | None = None
    bounds: CheckBounds = CheckBounds()


def check_facts(reader: Reader, asked: CheckQuestion) -> CheckFacts:
    """Return the result of every check, for the present month of a user or of everyone.

    Raises:
        WrongUsage: both a user and everyone were given.
    """
    if asked.user and asked.everyone:
        raise WrongUsage("give --user or --everyone, not both")
    user_id = asked.user or reader.default_user
    bounds = asked.bounds._replace(job=find_job(reader, asked.job) if asked.job else None)
    reader.index.catch_up_all()
    query = _month_query(reader, user_id)
    rest = [] if asked.user else [user for user in others(reader, query) if user != user_id]
    checks = [*_of_user(reader, user_id, bounds, f"{user_id}, " if asked.everyone else "")]
    for user in rest if asked.everyone else ():
        checks += _of_user(reader, user, bounds, f"{user}, ", shared=False)
    of_all = plan_limits(reader, None, month_of(reader, user_id))
    plans = of_all if asked.everyone else of_all.of(user_id, reader.profile.plans)
    checks += [_standing(each, f"plan {each.limit.scope.name}") for each in plans.spendings]
    ledger_health = health(reader)
    if ledger_health.problems or ledger_health.degraded:
        checks.append(Check("the ledgers", None, None, "unknown", "parts of them cannot be read"))
    totals = total(reader.index.groups((), query._replace(user_id=None) if asked.everyone else query))
    if totals.unpriced_calls or totals.partial_calls:
        part = "" if totals.unpriced_calls else " for a part of them"
        checks.append(Check("prices", None, None, "warning", f"calls without a price{part}"))
    return CheckFacts(
        user_id=None if asked.everyone else user_id,
        period=month_of(reader, user_id),
        checks=checks,
        totals=totals,
        strict=asked.strict,
        health=ledger_health,
        others={} if asked.everyone else {user: _worst(reader, user, of_all) for user in rest},
        roughly=plans.roughly,
    )


def _month_query(reader: Reader, user_id: str) -> Query:
    period = month_of(reader, user_id)
    return Query(start=period.start, end=period.end, user_id=user_id)


def _of_user(
    reader: Reader, user_id: str, bounds: CheckBounds, whose: str = "", *, shared: bool = True
) -> Iterator[Check]:
    """Return what was found of one user, each name after ``whose``; with ``shared`` also of limits of all."""
    period = month_of(reader, user_id)
    standing = spendings(reader, limits_in(reader, user_id, period, bounds.job))
    for spending in standing:
        mine = spending.limit.scope.owner is not None
        if mine or shared:
            yield _standing(spending, f"{whose if mine else ''}{spending.label}")
    if bounds.forecast:
        yield from _forecasts(reader, user_id, standing, whose, shared=shared)
    for check in _jobs(reader, _month_query(reader, user_id), bounds):
        yield check._replace(name=f"{whose}{check.name}")


def _standing(spending: Spending, name: str) -> Check:
    limit = spending.limit
    return limit_check(name, spending.spent, limit.amount, spending.level, limit.measure)


def _forecasts(
    reader: Reader, user_id: str, standing: Sequence[Spending], whose: str, *, shared: bool
) -> Iterator[Check]:
    own = monthly(standing, user_id)
    if own is not None:
        projection, _ = projected(reader, user_id, month_of(reader, user_id))
        yield forecast_check(f"{whose}month, forecast", projection, own.limit.amount)
    for other in limit_forecasts(reader, [each for each in standing if each is not own]):
        mine = other.spending.limit.scope.owner is not None
        if mine or shared:
            name = f"{whose if mine else ''}{other.spending.label}, forecast"
            limit = other.spending.limit
            yield forecast_check(name, other.forecast, limit.amount)._replace(measure=limit.measure)


def _worst(reader: Reader, user_id: str, plans: PlanLimits) -> Verdict:
    """Return how the limits stand that hold for a user alone."""
    standing = spendings(reader, limits_in(reader, user_id, month_of(reader, user_id)))
    levels = {each.level for each in (*standing, *plans.spendings) if each.limit.scope.owner == user_id}
    return "over" if "critical" in levels else "warning" if "warning" in levels else "ok"


def _jobs(reader: Reader, query: Query, bounds: CheckBounds) -> Iterator[Check]:
    asked = (bounds.max_per_job, bounds.max_per_minute, bounds.more_percent)
    if all(each is None for each in asked):
        return
    job = _whole(reader, bounds.job) if bounds.job else None
    chosen = [job] if job else jobs_of(reader.index.groups(JOB_DIMENSIONS, query))
    if bounds.max_per_job is not None:
        yield job_check(chosen, bounds.max_per_job)
    if bounds.max_per_minute is not None:
        yield minute_check(chosen, bounds.max_per_minute)
    if bounds.more_percent is not None:
        yield regression_check(_compared(reader, query, job), bounds.last, bounds.more_percent)


def _whole(reader: Reader, job: JobRef) -> JobCost:
    """Return a job over its whole life, whoever ran it and whenever: the month and the user bound no job."""
    entries, _, missed = entries_of_job(reader, job)
    counted = jobs_of(reader.index.groups(JOB_DIMENSIONS, Query(ledger=job.ledger))) if missed else []
    return counted[0] if counted else job_cost(job, entries)


def _compared(reader: Reader, query: Query, job: JobCost | None) -> list[JobCost]:
    """Return a user's jobs of some months in the order in which they ended, the one asked about last."""
    end = datetime.fromtimestamp(job.last + BUCKET_SECONDS, UTC) if job else query.end
    assert end is not None  # a month has an end
    jobs = jobs_of(reader.index.groups(JOB_DIMENSIONS, query._replace(start=end - COMPARED, end=end)))
    if job is None:
        return jobs
    return [*(each for each in jobs if (each.last, each.job_id) < (job.last, job.job_id)), job]


def check_report(facts: CheckFacts) -> Report:
    """Return the results; what is not fine is named in notes."""
    answer = _ANSWERS[facts.exit_code]
    table = Table.of(
        "Check",
        facts.checks,
        (Column("check", "Check"), lambda check: check.name),
        (Column("value", "Now", "amount"), lambda check: _shown(check.value, check)),
        (Column("allowed", "Allowed", "amount"), lambda check: _shown(check.allowed, check)),
        (Column("result", "Result"), lambda check: _WORDS[check.verdict]),
        (Column("note", "Note", rank=1), lambda check: check.note),
        empty="No limit is set, and no other check was asked for.",
    )
    bad = [check for check in facts.checks if check.verdict != "ok"]
    notes = [
        Note(f"{check.name}: {_WORDS[check.verdict]}, {check.note}", _TONES[check.verdict])
        for check in bad
        if check.note
    ]
    return Report(
        title=f"Check of {'everyone' if facts.user_id is None else owner(facts.user_id)}: {answer}",
        subtitle=named(facts.period),
        tables=(table,),
        notes=(*notes, *doubts(facts.totals, facts.health), *rough_notes(facts.roughly), *_not_asked(facts)),
        data={
            **derive(facts, "user_id", "month=period.name"),
            "result": answer,
            **derive(facts, "exit_code", "strict"),
            "checks": [_plain(check) for check in facts.checks],
            **derive(facts, "totals.unpriced_calls", "totals.partial_calls", "health.incomplete"),
            "other_users": dict(facts.others),
        },
    )


def _not_asked(facts: CheckFacts) -> Iterator[Note]:
    """Say how other users of the storage stand: a script may have forgotten --user."""
    for verdict, words in (("over", "over a limit of their own"), ("warning", "close to one")):
        users = [user for user, standing in facts.others.items() if standing == verdict]
        if users:
            yield Note(
                f"Not checked, and {words}: {', '.join(users)}. --everyone checks all users.", "warning"
            )
    fine = [user for user, standing in facts.others.items() if standing == "ok"]
    if fine:
        yield Note(f"Not checked, and within their limits: {', '.join(fine)}.")


def _plain(check: Check) -> dict[str, object]:
    """Return a check as JSON has it: in its unit, and under the names of dollars where it is in those."""
    amounts = {"value": check.value, "allowed": check.allowed}
    return {
        "check": check.name,
        **usd_amounts(amounts, check.measure),
        "result": check.verdict,
        "note": check.note,
        **unit_amounts(amounts, check.measure),
    }


def _shown(amount: int | None, check: Check) -> Value:
    return "" if amount is None else cell_of(amount, check.measure)


def _question(
    user: str | None, everyone: bool, strict: bool, job: str | None, **bounds: Any
) -> CheckQuestion:
    return CheckQuestion(user, everyone, strict, job, CheckBounds(**bounds))


SPEC: Final = Spec(
    "Budgets",
    (
        "check",
        "check --user rpatel --strict --forecast",
        "check --job out/latest/ --max-per-job 0.50 --max-increase 20",
        "check --max-per-minute 0.01 --format md",
        "check --everyone",
    ),
    _question,
    check_facts,
    check_report,
    options=(
        USER,
        Option("--everyone", "All users who have calls this month.", flag=True),
        Option("--strict", "A warning counts as over.", flag=True),
        Option("--forecast", "Also fail when the month is on course to exceed its limit.", flag=True),
        Option("--max-per-job", "Fail when a job of this month cost more.", "USD", parse_usd),
        Option("--max-per-minute", "Fail when a minute of audio cost more.", "USD", parse_usd),
        Option(
            "--max-increase",
            "Fail when the newest job cost this much more than the median of the earlier ones.",
            "PERCENT",
            called="more_percent",
            least=0.0,
        ),
        Option("--last", "How many jobs to compare with.", least=3, default=10, shows_default=True),
        Option("--job", "Check only this job, not all jobs of the month.", "JOB", completes="job"),
    ),
    shared=True,
)
