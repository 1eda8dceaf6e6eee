"""Spend and limits as OpenMetrics text, for Prometheus and similar systems.

Gauges only: a reversal lowers a sum, and Prometheus would take a falling counter for a restart. Labels have
the names of OpenTelemetry's attributes (``gen_ai.provider.name``), with underscores instead of the dots,
which labels may not have; none of its metric names is for money. There are no job ids: each would add a
series that never ends.

https://prometheus.io/docs/specs/om/open_metrics_spec/, checked 2026-11-29. Parsers of the older text format,
such as the node exporter's textfile collector, accept the same text: to them ``# UNIT`` and ``# EOF`` are
comments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from .. import periods
from ..budgets.limits import Spending
from ..money import Nanos, json_number
from ..reports.queries import health, others
from ..reports.questions import UserMonth
from ..reports.reader import Reader
from ..reports.show_budget import BudgetFacts, budget_facts
from ..rollup import Group, Query

PARTS: Final = ("stage", "service", "model")
"""The dimensions of sums, besides the user and the period."""

_SPEND_LABELS: Final = ("period", "user", "stage", "gen_ai_provider_name", "gen_ai_request_model")
_LIMIT_LABELS: Final = ("user", "scope", "name")


class Family(NamedTuple):
    """A metric: its name, its unit (the end of the name, or empty), its help text and its labels."""

    name: str
    unit: str
    help: str
    labels: tuple[str, ...] = ()


FAMILIES: Final = (
    Family(
        "cost_ledger_spend_usd", "usd", "Spent in the period so far, by calls with a price.", _SPEND_LABELS
    ),
    Family("cost_ledger_calls", "", "Calls in the period so far.", _SPEND_LABELS),
    Family("cost_ledger_unpriced_calls", "", "Calls whose price is not known.", _SPEND_LABELS),
    Family("cost_ledger_tokens", "", "Tokens in the period so far.", (*_SPEND_LABELS, "gen_ai_token_type")),
    Family(
        "cost_ledger_budget_limit_usd", "usd", "A limit; user is empty for the organization.", _LIMIT_LABELS
    ),
    Family("cost_ledger_budget_spent_usd", "usd", "Spent within the limit.", _LIMIT_LABELS),
    Family(
        "cost_ledger_budget_reserved_usd",
        "usd",
        "Held for calls on their way, within the month.",
        _LIMIT_LABELS,
    ),
    Family("cost_ledger_budget_projected_usd", "usd", "What the month is on course for.", _LIMIT_LABELS),
    Family("cost_ledger_budget_used_ratio", "ratio", "Spent, as a share of the limit.", _LIMIT_LABELS),
    Family("cost_ledger_problems", "", "Ledger lines that do not count and should."),
    Family("cost_ledger_waiting_entries", "", "Entries that wait to be written to their ledgers."),
    Family(
        "cost_ledger_last_entry_timestamp_seconds",
        "seconds",
        "When the 15 minutes began in which the last entry was made.",
    ),
)

_LATELY: Final = timedelta(days=32)
"""Users who called within this time have metrics: it contains the current month of every time zone."""

Samples = dict[str, dict[tuple[str, ...], str]]
"""The samples of each family: a number as text, by the values of its labels."""


def openmetrics(reader: Reader) -> str:
    """Return all metrics of a storage, ending in ``# EOF``.

    Raises:
        ProfileError: the profile is refused, and no limit is known.
    """
    reader.index.catch_up_all()
    samples: Samples = {family.name: {} for family in FAMILIES}
    users = _users(reader)
    for user in users:
        _add_spend(samples, reader, user)
    for user in users:
        _add_budget(samples, budget_facts(reader, UserMonth(user)))
    _add_state(samples, reader)
    lines = (line for family in FAMILIES for line in _family_lines(family, samples[family.name]))
    return "".join([*lines, "# EOF\n"])


def _users(reader: Reader) -> list[str]:
    """Return the default user, those with limits of their own, and those who called lately."""
    called = others(reader, Query(start=reader.now - _LATELY))
    return sorted({reader.default_user, *reader.profile.users, *called})


def _add_spend(samples: Samples, reader: Reader, user: str) -> None:
    zone = reader.profile.for_user(user).timezone
    for period in (periods.day(reader.now, zone), periods.month(reader.now, zone, reader.billing_day)):
        for group in reader.index.groups(PARTS, Query(start=period.start, end=period.end, user_id=user)):
            _add_group(samples, (period.kind, user, *(str(key or "") for key in group.key)), group)


def _add_group(samples: Samples, labels: tuple[str, ...], group: Group) -> None:
    totals = group.totals
    samples["cost_ledger_spend_usd"][labels] = json_number(totals.cost)
    samples["cost_ledger_calls"][labels] = str(totals.calls)
    samples["cost_ledger_unpriced_calls"][labels] = str(totals.unpriced_calls)
    samples["cost_ledger_tokens"][(*labels, "input")] = str(totals.tokens_input)
    samples["cost_ledger_tokens"][(*labels, "output")] = str(totals.tokens_output)


def _add_budget(samples: Samples, facts: BudgetFacts) -> None:
    """Add a user's limits, and those for everybody, which are in every user's facts."""
    for spending in facts.spendings:
        scope = spending.limit.scope
        labels = (scope.owner or "", scope.kind, scope.name or "")
        if spending.limit.measure == "cost":
            samples["cost_ledger_budget_limit_usd"][labels] = json_number(Nanos(spending.limit.amount))
            samples["cost_ledger_budget_spent_usd"][labels] = json_number(Nanos(spending.spent))
        samples["cost_ledger_budget_used_ratio"][labels] = _ratio(spending)
        if spending is facts.month:
            samples["cost_ledger_budget_reserved_usd"][labels] = json_number(facts.reserved)
            samples["cost_ledger_budget_projected_usd"][labels] = json_number(facts.pace.projected)


def _ratio(spending: Spending) -> str:
    """Return the spent share of a limit; for a limit of zero infinite once anything is spent."""
    limit = spending.limit.amount
    if limit <= 0:
        return "+Inf" if spending.spent > 0 else "0"
    return repr(spending.spent / limit)


def _add_state(samples: Samples, reader: Reader) -> None:
    storage_health = health(reader)
    samples["cost_ledger_problems"][()] = str(len(storage_health.problems))
    samples["cost_ledger_waiting_entries"][()] = str(storage_health.waiting)
    for newest in reader.index.job_page(Query(), count=1).jobs:
        samples["cost_ledger_last_entry_timestamp_seconds"][()] = str(newest.last)


def _family_lines(family: Family, samples: Mapping[tuple[str, ...], str]) -> Iterator[str]:
    """Yield the lines of one family; none if it has no sample."""
    if not samples:
        return
    yield f"# TYPE {family.name} gauge\n"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}\n"
    yield f"# HELP {family.name} {family.help}\n"
    for values, number in sorted(samples.items()):
        pairs = zip(family.labels, values, strict=True)
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
        yield f"{family.name}{{{labels}}} {number}\n" if labels else f"{family.name} {number}\n"


def _escaped(value: str) -> str:
    r"""Return a label's value escaped for use between quotes.

    >>> print(_escaped('a "b"\\c'))
    a \"b\"\\c
    """
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
