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
from ...reports.questions import TimeSpan
from ...reports.reader import Reader
from ...reports.spec import SPAN, Option, OptionGroup, Spec, with_formats
from ..bills import bill_format_for, bill_formats
from ..ledger_access import BatchWriter, import_lock
from ..reconciling.adjusting import Adjuster
from ..reconciling.differences import TEXTS, Comparison, Difference, Kind, Reason, rate_text
from ..reconciling.run import Bill, BillComparison, ComparisonTerms

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

    Without ``files`` and ``services``, those in the storage's folder of bills. From ``services`` their own
    reports over ``span`` are fetched. ``rates`` are the values in USD of one unit of a currency.
    """

    files: Sequence[Path] = ()
    format_from: str | None = None
    keys: Sequence[str] = ()
    rates: Sequence[tuple[str, Decimal]] = ()
    timezone: str | None = None
    services: Sequence[str] | None = None
    span: TimeSpan = TimeSpan()
    adjust: bool = False


class ReconcileFacts(NamedTuple):
    """A comparison of bills with the ledgers. ``adjusted`` is the number of appended entries, if any."""

    bills: Sequence[str]
    comparison: Comparison
    adjusted: int | None = None
    adjusted_cost: Nanos = ZERO

    @property
    def compares(self) -> bool:
        """Whether there was anything to compare."""
        return bool(self.comparison.agreed.count or self.comparison.differences or self.comparison.uncompared)

    @property
    def exit_code(self) -> int:
        """1 if differences remain that no later line will resolve, 3 if nothing was compared, else 0."""
        if not self.compares:
            return FAILED
        return BAD_NEWS if self.comparison.settled and self.adjusted is None else FINE


def reconciled_facts(reader: Reader, question: BillsQuestion) -> ReconcileFacts:
    """Compare bills with the storage; with ``adjust`` append the adjustments that follow.

    Raises:
        WrongUsage: no bill is named and the folder has none, or dates are given without ``services``.
        CannotRead: a bill cannot be read.
        CannotFetch: a service's reports cannot be fetched.
        NotWritten: with ``adjust``, a ledger cannot be written to, or another import holds the lock too long.

    """
    if question.span != TimeSpan() and not question.services:
        raise WrongUsage("dates are for --fetch; a file is compared over the days that it has")
    terms = ComparisonTerms(dict(question.rates), frozenset(question.keys), question.timezone)
    with TemporaryDirectory(prefix="reconcile-") as folder:
        bills = [*_read_bills(reader, question), *_fetch_bills(reader, question, Path(folder))]
        adjuster = _adjuster(reader) if question.adjust else None
        # Adjustments follow from what the ledgers have: nobody else may append meanwhile.
        turn = import_lock(reader.storage) if adjuster else nullcontext()
        with turn, reader.progress("Comparing") as advance:
            comparison = BillComparison(reader.index, reader.now, terms, adjuster, advance).run(bills)
    names = [f"{bill.name} as {bill.format.name}" for bill in bills]
    if adjuster is None:
        return ReconcileFacts(names, comparison)
    return ReconcileFacts(names, comparison, adjuster.written, adjuster.cost)


def _read_bills(reader: Reader, question: BillsQuestion) -> Iterator[Bill]:
    for path in {path.resolve(): path for path in question.files}.values():  # a file named twice is one bill
        yield Bill.of_file(path, bill_format_for(path, question.format_from))
    if question.files or question.services:
        return
    folder = reader.storage.bills_dir
    paths = sorted(path for path in folder.glob("[!.]*") if path.is_file()) if folder.is_dir() else []
    if not paths:
        raise WrongUsage(f"name a bill: cost-dashboard reconcile FILE, or put it into {folder}; see --help")
    for path in paths:
        bill = Bill.of_file(path, bill_format_for(path, question.format_from))
        yield Bill(path.name, bill.format, bill.lines, bill.made_at)


def _fetch_bills(reader: Reader, question: BillsQuestion, folder: Path) -> Iterator[Bill]:
    if not question.services:
        return
    from ..reconciling.fetching import fetched, request_of  # only --fetch needs the network

    request = request_of(question.span.period(reader.now, ZoneInfo("UTC"), 1), by_key=bool(question.keys))
    for service in question.services:
        yield from fetched(service, request, reader.environ, folder)


def _adjuster(reader: Reader) -> Adjuster:
    index = reader.index
    return Adjuster(index, BatchWriter(index), reader.storage, reader.now, reader.default_user)


def reconciled_report(facts: ReconcileFacts) -> Report:
    """Return what agrees and what differs, by reason and one by one."""
    return Report(
        title=_title(facts),
        subtitle=", ".join(facts.bills),
        figures=tuple(_figures(facts.comparison)),
        tables=tuple(_tables(facts.comparison)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _title(facts: ReconcileFacts) -> str:
    comparison = facts.comparison
    if not facts.compares:
        return "Nothing to compare"
    if facts.adjusted is not None:
        return "Adjusted to the bill"
    if comparison.settled:
        return "The bill and the ledgers differ"
    return "The bill agrees, as far as it is final" if comparison.differences else "The bill agrees"


def _figures(comparison: Comparison) -> Iterator[Figure]:
    billed = None if None in comparison.currencies.values() else comparison.total("theirs")
    yield Figure("billed", "On the bill", billed, places=4, note=_span(comparison))
    yield Figure("recorded", "In the ledgers", comparison.total("ours"), places=4)
    agreed = comparison.agreed
    yield Figure(
        "matched", "Agree", Nanos(agreed.theirs), places=4, note=_count_text(agreed.count, agreed.calls)
    )
    for kind, label in _KINDS.items():
        of_kind = [difference for difference in comparison.differences if difference.kind == kind]
        if of_kind:
            tone: Tone = (
                "warning" if any(difference in comparison.settled for difference in of_kind) else "plain"
            )
            amount = Nanos(sum(difference.amount for difference in of_kind))
            yield Figure(
                kind,
                label,
                amount,
                "difference",
                note=plural(len(of_kind), "difference", "differences"),
                tone=tone,
                places=4,
            )
    if comparison.uncompared:
        known = [lines.nanos for lines in comparison.uncompared if lines.nanos is not None]
        left_out = len(comparison.uncompared) - len(known)
        note = f"and {plural(left_out, 'kind', 'kinds')} of line without a rate" if left_out else ""
        uncompared_amount = sum(known) if known else None
        yield Figure("apart", "Credits, tax, others", uncompared_amount, places=4, note=note)
    if agreed.rounding:
        yield Figure(
            "rounding",
            "Rounding",
            agreed.rounding,
            "difference",
            places=6,
            note="within what the bill rounds to",
        )


def _count_text(sums: int, calls: int) -> str:
    return (
        plural(calls, "call", "calls") if sums == calls else f"{plural(sums, 'sum', 'sums')}, {calls:,} calls"
    )


def _span(comparison: Comparison) -> str:
    if comparison.first is None or comparison.after is None:
        return ""
    return f"{comparison.first:%Y-%m-%d %H:%M} to {comparison.after:%Y-%m-%d %H:%M} UTC"


def _tables(comparison: Comparison) -> Iterator[Table]:
    if comparison.differences:
        yield _reasons_table(comparison)
        yield _differences(comparison)
    if comparison.uncompared:
        yield Table.of(
            "Compared with nothing",
            comparison.uncompared[:SHOWN],
            (Column("label", "Line", wraps=True), lambda lines: lines.label or lines.service),
            (Column("category", "Is"), lambda lines: lines.category),
            (Column("rows", "Rows", "count"), lambda lines: lines.rows),
            (Column("amount", "Amount", "money", places=4), lambda lines: lines.nanos),
            key="apart",
        )
    if len(comparison.keys) > 1:
        yield Table.of(
            "Keys and projects on the bill",
            comparison.keys.most_common(SHOWN),
            (Column("key", "Key"), lambda item: item[0]),
            (Column("rows", "Rows", "count"), lambda item: item[1]),
            key="keys",
        )
    if comparison.refused:
        yield Table.of(
            "Not understood",
            comparison.refused[:SHOWN],
            (Column("row", "Row"), lambda refusal: refusal.row),
            (Column("why", "Why", wraps=True), lambda refusal: refusal.why),
            key="refused",
        )


def _reasons_table(comparison: Comparison) -> Table:
    """Return the differences by reason, the largest first."""
    by_reason: dict[tuple[Reason, bool], list[Difference]] = {}
    for difference in comparison.differences:
        by_reason.setdefault((difference.reason, difference.settled), []).append(difference)
    return Table.of(
        "Why",
        sorted(by_reason.items(), key=lambda item: -abs(_amount(item[1]))),
        (Column("reason", "Likely reason", wraps=True), lambda item: _reason_text(*item[0])),
        (Column("count", "Times", "count", rank=2), lambda item: len(item[1])),
        (
            Column("calls", "Calls", "count", rank=1),
            lambda item: sum(difference.calls for difference in item[1]),
        ),
        (Column("amount", "Bill less ledgers", "difference", places=4), lambda item: _amount(item[1])),
        key="reasons",
    )


def _amount(differences: Sequence[Difference]) -> int:
    return sum(difference.amount for difference in differences)


def _reason_text(reason: Reason, settled: bool) -> str:
    return TEXTS[reason] + ("" if settled else " (may still change)")


def _differences(comparison: Comparison) -> Table:
    return Table.of(
        "Differences",
        comparison.differences[:SHOWN],
        (Column("day", "Day"), lambda difference: difference.day),
        (
            Column("model", "Model"),
            lambda difference: (
                f"{difference.service}/{difference.model}" if difference.model else difference.service
            ),
        ),
        (Column("tier", "Tier", rank=3), lambda difference: difference.tier),
        (Column("theirs", "Bill", "money", rank=1, places=4), lambda difference: difference.theirs),
        (Column("ours", "Ledgers", "money", rank=1, places=4), lambda difference: difference.ours),
        (Column("amount", "Difference", "difference", places=4), lambda difference: difference.amount),
        (
            Column("factor", "Factor", rank=4),
            lambda difference: None if difference.factor is None else f"{difference.factor:.4g}",
        ),
        (
            Column("reason", "Reason"),
            lambda difference: (
                difference.reason.replace("_", " ") + ("" if difference.settled else " (provisional)")
            ),
        ),
        (
            Column("line", "Line of the bill", rank=5),
            lambda difference: Ref(difference.lines[0], "path") if difference.lines else None,
        ),
        key="differences",
    )


def _notes(facts: ReconcileFacts) -> Iterator[Note]:
    comparison = facts.comparison
    for why in comparison.incomplete:
        yield Note(f"The bill is incomplete: {why}.", "warning")
    open_ = [difference for difference in comparison.differences if not difference.settled]
    if open_:
        yield Note(
            f"{plural(len(open_), 'difference is', 'differences are')} provisional: the bill may change."
        )
    for names, rate in comparison.currencies.items():
        suggestion = f"one {names} is about {rate_text(rate)} USD by the amounts themselves" if rate else ""
        advice = suggestion or "no rate fits them"
        yield Note(f"The bill is in {names}; {advice}. Give its rate: --rate {names.partition(',')[0]}=RATE.")
    unknown = [apart for apart in comparison.uncompared if apart.nanos is None]
    if unknown:
        lines = plural(sum(apart.rows for apart in unknown), "line", "lines")
        yield Note(f"{lines} of credits, taxes and the like count in no sum: they take a rate.", "warning")
    for service, name in comparison.zones.items():
        yield Note(f"Days of {service} agree best in {name}: compared so.")
    yield from map(Note, comparison.notes)
    if comparison.refused_count:
        yield Note(f"{plural(comparison.refused_count, 'row was', 'rows were')} not understood.", "warning")
    if facts.adjusted is not None:
        yield Note(f"{plural(facts.adjusted, 'entry was', 'entries were')} appended; no line was edited.")
    elif comparison.settled:
        yield Note("To append adjustments that carry the bill's lines: --adjust.")


def _data(facts: ReconcileFacts) -> dict[str, object]:
    comparison = facts.comparison
    return {
        "bills": list(facts.bills),
        "start": comparison.first.isoformat() if comparison.first else None,
        "end": comparison.after.isoformat() if comparison.after else None,
        "rows": comparison.rows,
        "calls": comparison.calls,
        "agrees": facts.compares and not comparison.settled,
        "billed_usd": None if None in comparison.currencies.values() else to_usd(comparison.total("theirs")),
        "recorded_usd": to_usd(comparison.total("ours")),
        "matched": {
            "count": comparison.agreed.count,
            "calls": comparison.agreed.calls,
            "theirs_usd": to_usd(Nanos(comparison.agreed.theirs)),
            "ours_usd": to_usd(Nanos(comparison.agreed.ours)),
            "rounding_usd": to_usd(comparison.agreed.rounding),
        },
        "differences": [
            {**derive(difference), "text": difference.text} for difference in comparison.differences
        ],
        "apart": [
            derive(lines, "category", "service", "label", "rows", "amount=nanos")
            for lines in comparison.uncompared
        ],
        "keys": dict(comparison.keys),
        "incomplete": list(comparison.incomplete),
        "zones": dict(comparison.zones),
        "currencies": dict(comparison.currencies),
        "not_understood": {
            "count": comparison.refused_count,
            "rows": [derive(refusal) for refusal in comparison.refused],
        },
        "notes": list(comparison.notes),
        "adjusted": facts.adjusted,
        "adjusted_usd": to_usd(facts.adjusted_cost),
    }


def parse_rate(text: str) -> tuple[str, Decimal]:
    """Return a currency and the value of one unit in USD, from a text such as ``EUR=1.16``.

    Raises:
        ValueError: the text has another form, or the rate is not above 0.

    >>> parse_rate("eur=1.16")
    ('EUR', Decimal('1.16'))
    """
    name, _, rate = text.partition("=")
    try:
        value = Decimal(rate)
    except InvalidOperation:
        value = Decimal(0)
    if not name.isalpha() or not value.is_finite() or value <= 0:
        raise ValueError(f"{text!r} is not a rate; write the value of one unit in USD, such as EUR=1.16")
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
        OptionGroup("span", tuple(option._replace(at_terminal=True) for option in SPAN.options), TimeSpan),
        Option("--adjust", "Append adjustments that carry the bill's lines.", flag=True, changes=True),
    ),
    help=with_formats(__doc__, bill_formats()),
)
