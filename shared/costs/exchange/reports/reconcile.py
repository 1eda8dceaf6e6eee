"""Compare a provider's bill or usage report with the ledgers, and say why they differ.

Nothing is sent anywhere without --fetch. Calls are matched by the response's id where the file has one,
else summed by model, day and tier. Without a FILE the bills in the folder "bills" of the cost storage are
compared, which a page of serve shows, too. The exit code is 1 where differences are left that no later line
of the bill will mend; with --adjust each of them that can be told is appended to the ledgers, once.
--fetch asks OpenAI (OPENAI_ADMIN_KEY) or Anthropic (ANTHROPIC_ADMIN_KEY) for the days that --month,
--days, or --since and --until name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from decimal import Decimal, InvalidOperation
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from ...errors import BAD_NEWS, FAILED, FINE, WrongUsage
from ...money import ZERO, Nanos, to_usd
from ...periods import zone
from ...reports.common import plural
from ...reports.document import Column, Figure, Note, Ref, Report, Table, Tone, derive
from ...reports.questions import Span
from ...reports.reader import Reader
from ...reports.spec import SPAN, Option, OptionGroup, Spec, with_formats
from ..bills import bill_format_for, bill_formats
from ..reconciling.adjusting import Adjuster
from ..reconciling.differences import TEXTS, Comparison, Difference, Kind, Reason, rate_text
from ..reconciling.run import Bill, BillComparison, ComparisonTerms
from ..shelf import BatchWriter, import_lock

SHOWN: Final = 40
"""How many differences are listed; JSON and CSV have all of them."""

_KINDS: Final[dict[Kind, str]] = {
    "only_theirs": "Only on the bill",
    "only_ours": "Only in the ledgers",
    "priced_differently": "Priced differently",
    "usage_differs": "Usage differs",
    "moved": "Under another day or tier",
}


class BillsQuestion(NamedTuple):
    """Which bills to compare, and how.

    Without ``files`` and ``services`` those in the storage's folder of bills. ``services`` are asked for
    their own reports over ``span``. ``rates`` are what one of a currency is in USD.
    """

    files: Sequence[Path] = ()
    format_from: str | None = None
    keys: Sequence[str] = ()
    rates: Sequence[tuple[str, Decimal]] = ()
    timezone: str | None = None
    services: Sequence[str] | None = None
    span: Span = Span()
    adjust: bool = False


class ReconcileFacts(NamedTuple):
    """A comparison of bills with the ledgers. ``adjusted`` entries were appended, if any were to be."""

    bills: Sequence[str]
    found: Comparison
    adjusted: int | None = None
    adjusted_cost: Nanos = ZERO

    @property
    def compares(self) -> bool:
        """Whether there was anything to compare."""
        return bool(self.found.agreed.count or self.found.differences or self.found.apart)

    @property
    def exit_code(self) -> int:
        """1 where differences are left that no later line will mend, 3 where there was nothing to compare."""
        if not self.compares:
            return FAILED
        return BAD_NEWS if self.found.settled and self.adjusted is None else FINE


def reconciled_facts(reader: Reader, asked: BillsQuestion) -> ReconcileFacts:
    """Compare bills with the storage, and with ``adjust`` append what follows.

    Raises:
        WrongUsage: no bill is named and none lies in the folder, or dates are given without ``services``.
        CannotRead: a bill cannot be read.
        CannotFetch: a service's reports cannot be fetched.
        NotWritten: with ``adjust``, a ledger cannot be written to, or somebody else is at it for too long.

    """
    if asked.span != Span() and not asked.services:
        raise WrongUsage("dates are for --fetch; a file is compared over the days that it has")
    terms = ComparisonTerms(dict(asked.rates), frozenset(asked.keys), asked.timezone)
    with TemporaryDirectory(prefix="reconcile-") as folder:
        bills = [*_bills(reader, asked), *_fetched(reader, asked, Path(folder))]
        adjuster = _adjuster(reader) if asked.adjust else None
        # What is appended follows from what the ledgers have: nobody else may append meanwhile.
        turn = import_lock(reader.storage) if adjuster else nullcontext()
        with turn, reader.progress("BillComparison") as advance:
            found = BillComparison(reader.index, reader.now, terms, adjuster, advance).run(bills)
    names = [f"{bill.name} as {bill.format.name}" for bill in bills]
    if adjuster is None:
        return ReconcileFacts(names, found)
    return ReconcileFacts(names, found, adjuster.written, adjuster.cost)


def _bills(reader: Reader, asked: BillsQuestion) -> Iterator[Bill]:
    for path in {path.resolve(): path for path in asked.files}.values():  # named twice, it is one bill
        yield Bill.of_file(path, bill_format_for(path, asked.format_from))
    if asked.files or asked.services:
        return
    folder = reader.storage.bills_dir
    kept = sorted(each for each in folder.glob("[!.]*") if each.is_file()) if folder.is_dir() else []
    if not kept:
        raise WrongUsage(f"name a bill: cost-dashboard reconcile FILE, or put it into {folder}; see --help")
    for path in kept:
        bill = Bill.of_file(path, bill_format_for(path, asked.format_from))
        yield Bill(path.name, bill.format, bill.lines, bill.made_at)


def _fetched(reader: Reader, asked: BillsQuestion, folder: Path) -> Iterator[Bill]:
    if not asked.services:
        return
    from ..reconciling.fetching import fetched, request_of  # nothing else asks anybody

    request = request_of(asked.span.period(reader.now, ZoneInfo("UTC"), 1), by_key=bool(asked.keys))
    for service in asked.services:
        yield from fetched(service, request, reader.environ, folder)


def _adjuster(reader: Reader) -> Adjuster:
    index = reader.index
    return Adjuster(index, BatchWriter(index), reader.storage, reader.now, reader.default_user)


def reconciled_report(facts: ReconcileFacts) -> Report:
    """Return what agrees and what differs, by reason and one by one."""
    return Report(
        title=_title(facts),
        subtitle=", ".join(facts.bills),
        figures=tuple(_figures(facts.found)),
        tables=tuple(_tables(facts.found)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _title(facts: ReconcileFacts) -> str:
    found = facts.found
    if not facts.compares:
        return "Nothing to compare"
    if facts.adjusted is not None:
        return "Adjusted to the bill"
    if found.settled:
        return "The bill and the ledgers differ"
    return "The bill agrees, as far as it is final" if found.differences else "The bill agrees"


def _figures(found: Comparison) -> Iterator[Figure]:
    billed = None if None in found.currencies.values() else found.total("theirs")
    yield Figure("billed", "On the bill", billed, places=4, note=_span(found))
    yield Figure("recorded", "In the ledgers", found.total("ours"), places=4)
    agreed = found.agreed
    yield Figure(
        "matched", "Agree", Nanos(agreed.theirs), places=4, note=_counted(agreed.count, agreed.calls)
    )
    for kind, label in _KINDS.items():
        of_kind = [one for one in found.differences if one.kind == kind]
        if of_kind:
            tone: Tone = "warning" if any(one in found.settled for one in of_kind) else "plain"
            amount = Nanos(sum(one.amount for one in of_kind))
            yield Figure(
                kind,
                label,
                amount,
                "difference",
                note=plural(len(of_kind), "difference", "differences"),
                tone=tone,
                places=4,
            )
    if found.apart:
        known = [one.nanos for one in found.apart if one.nanos is not None]
        left_out = len(found.apart) - len(known)
        note = f"and {plural(left_out, 'kind', 'kinds')} of line without a rate" if left_out else ""
        apart = sum(known) if known else None
        yield Figure("apart", "Credits, tax, others", apart, places=4, note=note)
    if agreed.rounding:
        yield Figure(
            "rounding",
            "Rounding",
            agreed.rounding,
            "difference",
            places=6,
            note="within what the bill rounds to",
        )


def _counted(sums: int, calls: int) -> str:
    return (
        plural(calls, "call", "calls") if sums == calls else f"{plural(sums, 'sum', 'sums')}, {calls:,} calls"
    )


def _span(found: Comparison) -> str:
    if found.first is None or found.after is None:
        return ""
    return f"{found.first:%Y-%m-%d %H:%M} to {found.after:%Y-%m-%d %H:%M} UTC"


def _tables(found: Comparison) -> Iterator[Table]:
    if found.differences:
        yield _why(found)
        yield _differences(found)
    if found.apart:
        yield Table.of(
            "Compared with nothing",
            found.apart[:SHOWN],
            (Column("label", "Line", wraps=True), lambda one: one.label or one.service),
            (Column("category", "Is"), lambda one: one.category),
            (Column("rows", "Rows", "count"), lambda one: one.rows),
            (Column("amount", "Amount", "money", places=4), lambda one: one.nanos),
            key="apart",
        )
    if len(found.keys) > 1:
        yield Table.of(
            "Keys and projects on the bill",
            found.keys.most_common(SHOWN),
            (Column("key", "Key"), lambda one: one[0]),
            (Column("rows", "Rows", "count"), lambda one: one[1]),
            key="keys",
        )
    if found.refused:
        yield Table.of(
            "Not understood",
            found.refused[:SHOWN],
            (Column("row", "Row"), lambda one: one.row),
            (Column("why", "Why", wraps=True), lambda one: one.why),
            key="refused",
        )


def _why(found: Comparison) -> Table:
    """Return the differences by reason, the largest first."""
    by_reason: dict[tuple[Reason, bool], list[Difference]] = {}
    for one in found.differences:
        by_reason.setdefault((one.reason, one.settled), []).append(one)
    return Table.of(
        "Why",
        sorted(by_reason.items(), key=lambda item: -abs(_amount(item[1]))),
        (Column("reason", "Likely reason", wraps=True), lambda one: _reason_text(*one[0])),
        (Column("count", "Times", "count", rank=2), lambda one: len(one[1])),
        (Column("calls", "Calls", "count", rank=1), lambda one: sum(each.calls for each in one[1])),
        (Column("amount", "Bill less ledgers", "difference", places=4), lambda one: _amount(one[1])),
        key="reasons",
    )


def _amount(those: Sequence[Difference]) -> int:
    return sum(one.amount for one in those)


def _reason_text(reason: Reason, settled: bool) -> str:
    return TEXTS[reason] + ("" if settled else " (may still change)")


def _differences(found: Comparison) -> Table:
    return Table.of(
        "Differences",
        found.differences[:SHOWN],
        (Column("day", "Day"), lambda one: one.day),
        (Column("model", "Model"), lambda one: f"{one.service}/{one.model}" if one.model else one.service),
        (Column("tier", "Tier", rank=3), lambda one: one.tier),
        (Column("theirs", "Bill", "money", rank=1, places=4), lambda one: one.theirs),
        (Column("ours", "Ledgers", "money", rank=1, places=4), lambda one: one.ours),
        (Column("amount", "Difference", "difference", places=4), lambda one: one.amount),
        (Column("factor", "Factor", rank=4), lambda one: None if one.factor is None else f"{one.factor:.4g}"),
        (
            Column("reason", "Reason"),
            lambda one: one.reason.replace("_", " ") + ("" if one.settled else " (provisional)"),
        ),
        (
            Column("line", "Line of the bill", rank=5),
            lambda one: Ref(one.lines[0], "path") if one.lines else None,
        ),
        key="differences",
    )


def _notes(facts: ReconcileFacts) -> Iterator[Note]:
    found = facts.found
    for why in found.incomplete:
        yield Note(f"The bill is incomplete: {why}.", "warning")
    young = [one for one in found.differences if not one.settled]
    if young:
        yield Note(
            f"{plural(len(young), 'difference is', 'differences are')} provisional: the bill may change."
        )
    for names, rate in found.currencies.items():
        fits = f"one {names} is about {rate_text(rate)} USD by the amounts themselves" if rate else ""
        known = fits or "no rate fits them"
        yield Note(f"The bill is in {names}; {known}. Give its rate: --rate {names.partition(',')[0]}=RATE.")
    unknown = [one for one in found.apart if one.nanos is None]
    if unknown:
        lines = plural(sum(one.rows for one in unknown), "line", "lines")
        yield Note(f"{lines} of credits, taxes and the like count in no sum: they take a rate.", "warning")
    for service, name in found.zones.items():
        yield Note(f"Days of {service} agree best in {name}: compared so.")
    yield from map(Note, found.notes)
    if found.refused_count:
        yield Note(f"{plural(found.refused_count, 'row was', 'rows were')} not understood.", "warning")
    if facts.adjusted is not None:
        yield Note(f"{plural(facts.adjusted, 'entry was', 'entries were')} appended; no line was edited.")
    elif found.settled:
        yield Note("To append adjustments that carry the bill's lines: --adjust.")


def _data(facts: ReconcileFacts) -> dict[str, object]:
    found = facts.found
    return {
        "bills": list(facts.bills),
        "start": found.first.isoformat() if found.first else None,
        "end": found.after.isoformat() if found.after else None,
        "rows": found.rows,
        "calls": found.calls,
        "agrees": facts.compares and not found.settled,
        "billed_usd": None if None in found.currencies.values() else to_usd(found.total("theirs")),
        "recorded_usd": to_usd(found.total("ours")),
        "matched": {
            "count": found.agreed.count,
            "calls": found.agreed.calls,
            "theirs_usd": to_usd(Nanos(found.agreed.theirs)),
            "ours_usd": to_usd(Nanos(found.agreed.ours)),
            "rounding_usd": to_usd(found.agreed.rounding),
        },
        "differences": [{**derive(one), "text": one.text} for one in found.differences],
        "apart": [derive(one, "category", "service", "label", "rows", "amount=nanos") for one in found.apart],
        "keys": dict(found.keys),
        "incomplete": list(found.incomplete),
        "zones": dict(found.zones),
        "currencies": dict(found.currencies),
        "not_understood": {"count": found.refused_count, "rows": [derive(one) for one in found.refused]},
        "notes": list(found.notes),
        "adjusted": facts.adjusted,
        "adjusted_usd": to_usd(facts.adjusted_cost),
    }


def parse_rate(text: str) -> tuple[str, Decimal]:
    """Return a currency and what one of it is in USD, written as ``EUR=1.16``.

    Raises:
        ValueError: it is written otherwise, or not above 0.

    >>> parse_rate("eur=1.16")
    ('EUR', Decimal('1.16'))
    """
    name, _, rate = text.partition("=")
    try:
        value = Decimal(rate)
    except InvalidOperation:
        value = Decimal(0)
    if not name.isalpha() or not value.is_finite() or value <= 0:
        raise ValueError(f"{text!r} is no rate; write what one is in USD, such as EUR=1.16")
    return name.upper(), value


_SERVICES: Final = ("anthropic", "openai")
"""The services whose reports can be fetched."""

SPEC: Final = Spec(
    "Look",
    (
        "reconcile costs-2026-11.json",
        "reconcile usage.json costs.json --json",
        "reconcile bill.csv --rate EUR=1.16 --format html --output bill.html",
        "reconcile spend-logs.csv --adjust",
        "reconcile --fetch openai --month 2026-10",
    ),
    BillsQuestion,
    reconciled_facts,
    reconciled_report,
    options=(
        Option("", called="files", metavar="[FILE]...", parse=Path, many=True, at_terminal=True),
        Option(
            "--from",
            "The files' format. Default: as each looks.",
            called="format_from",
            choices=tuple(sorted(bill_formats())),
        ),
        Option("--key", "Only lines of this key, project or workspace.", "ID", called="keys", many=True),
        Option(
            "--rate", "What one of a currency is in USD.", "CUR=USD", parse_rate, called="rates", many=True
        ),
        Option(
            "--timezone",
            "Where the bill's days begin. Default: as its format says.",
            "ZONE",
            lambda text: zone(text).key,
        ),
        Option(
            "--fetch",
            "Ask the service for its own reports, with an admin key from the environment.",
            called="services",
            choices=_SERVICES,
            many=True,
            at_terminal=True,
        ),
        OptionGroup("span", tuple(each._replace(at_terminal=True) for each in SPAN.options), Span),
        Option("--adjust", "Append adjustments that carry the bill's lines.", flag=True, changes=True),
    ),
    help=with_formats(__doc__, bill_formats()),
)
