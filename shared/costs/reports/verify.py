"""Account for every byte of every known ledger, or of those named.

No ledger is changed. Exit code 1 when a line is damaged, torn or contradicts another, when the
index or a charge does not agree with the lines, when a ledger is gone and its sums with it, or when an
archive of this storage is not as it was; 3 when a ledger or an archive could not be read. With
--acknowledge the damage and the losses found are recorded as known: they stay out of the
sums and are named here, and no longer fail a check. A lost ledger that is put back counts again.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from ..archive.known import ArchiveFault, KnownArchives
from ..errors import BAD_NEWS, FAILED, FINE, WrongUsage
from ..ledger.lines import Location
from ..ledger.spool import waiting_paths
from ..ledger.verify import DAMAGE, LINE_KINDS, LedgerBytes, LineFinding, LineKind, Verifier
from ..model import Entry
from ..money import Nanos, to_usd
from ..pricing.history import PriceHistory, recompute, with_corrections
from ..rollup import TOTALS_FIELDS, Query, Totals
from ..storage import LEDGER_NAME
from .closing import SealCheck, check_seal, seal_data, seal_notes, seal_tables
from .common import counted_before, more_note, noted, plural
from .document import Column, Figure, Note, Ref, Report, Row, Table, Tone, derive
from .queries import UNREAD_LINE, find_job, with_packed
from .reader import ProgressCallback, Reader
from .spec import Option, Spec

SHOWN: Final = 50
"""How many lines are listed; the JSON has all of them."""

_WORDS: Final[dict[LineKind, str]] = {
    "entry": "entries",
    "newer": "entries of a newer format",
    "duplicate": "duplicates, counted once",
    "conflict": "conflicts (one id, other content)",
    "damaged": "damaged lines",
    "torn": "torn ends",
}


class UnreadLedger(NamedTuple):
    """A ledger that could not be read."""

    ledger: Path
    why: str


class LostLedger(NamedTuple):
    """A ledger that is gone, with its sums, of which ``counted`` bytes had been counted.

    ``acknowledged`` is when that was acknowledged, as ISO 8601 text, if it was.
    """

    ledger: Path
    counted: int
    acknowledged: str | None = None


class Disagreement(NamedTuple):
    """A ledger whose sums in the index are not those of its lines: of the index, of the lines."""

    ledger: Path
    calls: tuple[int, int]
    cost: tuple[Nanos, Nanos]


class PriceFinding(NamedTuple):
    """A charge that does not follow from the price that made it, or whose price is not remembered."""

    ledger: Path
    entry_id: str
    outcome: str
    why: str


@dataclass(slots=True)
class PriceAudit:
    """What recomputing every charge showed: how many of each outcome, and those to look at."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[PriceFinding] = field(default_factory=list)


class VerifyFacts(NamedTuple):
    """All that was found. ``compared`` tells how many ledgers were held against the index."""

    accounts: Sequence[LedgerBytes]
    unread: Sequence[UnreadLedger] = ()
    compared: int = 0
    disagreements: Sequence[Disagreement] = ()
    waiting: int = 0
    prices: PriceAudit | None = None
    unknown: Sequence[Path] = ()
    sealed: SealCheck | None = None
    acknowledged: frozenset[Location] = frozenset()
    lost: Sequence[LostLedger] = ()
    archives: Sequence[ArchiveFault] = ()

    def is_known(self, account: LedgerBytes, finding: LineFinding) -> bool:
        """Tell whether damage was acknowledged."""
        return Location(account.ledger, finding.offset) in self.acknowledged

    def is_sound(self, account: LedgerBytes) -> bool:
        """Tell whether all bytes of a ledger were there, and none of them damage that is news."""
        damage = sum(account.lines[kind] for kind in DAMAGE)
        known = sum(self.is_known(account, finding) for finding in account.findings)
        return account.accounted >= account.size and damage <= known

    @property
    def exit_code(self) -> int:
        """1 for damage, a ledger that is lost, an index or a charge that does not agree, an archive that is
        not as it was, or what changed since a month was closed; else 3 when one could not be read.
        """
        wrong = (
            any(not self.is_sound(account) for account in self.accounts)
            or self.disagreements
            or self.unknown
            or any(not fault.is_away for fault in self.archives)
            or any(each.acknowledged is None for each in self.lost)
        )
        if wrong or (self.prices and self.prices.outcomes["differs"]):
            return BAD_NEWS
        if self.sealed is not None and self.sealed.exit_code != FINE:
            return BAD_NEWS
        return FAILED if self.unread or self.archives else FINE


_COMPARED = tuple(name for name in TOTALS_FIELDS if name != "jobs")


class VerifyQuestion(NamedTuple):
    """Which ledgers: those of ``paths`` or of one job, or all; with ``prices`` each charge is recomputed.

    ``sealed`` is a file of ``close-month``: the month is compared with what it was.
    With ``acknowledge`` the damage and the losses found are recorded as known.
    """

    paths: Sequence[Path] = ()
    job: str | None = None
    prices: bool = False
    sealed: Path | None = None
    acknowledge: bool = False


def verify_facts(reader: Reader, asked: VerifyQuestion) -> VerifyFacts:
    """Return what was found in these ledgers, or without any named in all that are registered.

    Raises:
        WrongUsage: both paths and a job were named.
        CannotCheck: the file of a closed month is none.
    """
    if asked.paths and asked.job:
        raise WrongUsage("name ledgers or give --job, not both")
    named = [path / LEDGER_NAME if path.is_dir() else path for path in asked.paths]
    named += [find_job(reader, asked.job).ledger] if asked.job else []
    with reader.progress("Verifying") as advance:
        facts = _verified(reader, named or None, advance, prices=asked.prices)
    if asked.sealed:
        facts = facts._replace(sealed=check_seal(reader, asked.sealed))
    acknowledged = reader.acknowledged
    damage = [
        Location(account.ledger, finding.offset)
        for account in facts.accounts
        for finding in account.findings
        if finding.kind in DAMAGE
    ]
    real = _real(named)
    lost = [each for each in reader.index.problems() if each.is_lost and (not named or each.path in real)]
    lost_paths = {each.path for each in lost}
    if asked.acknowledge:
        acknowledged.add(damage, reader.now, lost)
    return facts._replace(
        acknowledged=frozenset(filter(acknowledged.has, damage)),
        lost=[LostLedger(each.path, each.length, acknowledged.lost_since(each)) for each in lost],
        unread=[each for each in facts.unread if each.ledger.resolve() not in lost_paths],
    )


def _real(paths: Iterable[Path]) -> set[Path]:
    """Return paths as they are known by: absolute, and without links."""
    return {path.resolve() for path in paths}


def _verified(
    reader: Reader, ledgers: Sequence[Path] | None, advance: ProgressCallback, *, prices: bool
) -> VerifyFacts:
    chosen = list(ledgers) if ledgers is not None else _registered(reader)
    verifier, accounts, unread = Verifier(), list[LedgerBytes](), list[UnreadLedger]()
    for number, (ledger, contents) in enumerate(with_packed(reader, chosen)):
        for content in contents:
            if isinstance(content, bytes):
                accounts.append(verifier.verify_content(ledger, content))
            else:
                unread.append(UnreadLedger(ledger, str(content)))
        try:
            accounts.append(verifier.verify(ledger))
        except FileNotFoundError:
            if not contents:
                unread.append(UnreadLedger(ledger, "there is no such file"))
        except OSError as fault:
            unread.append(UnreadLedger(ledger, str(fault)))
        advance(number + 1, len(chosen))
    whole = ledgers is None and not unread
    disagreements, compared = _against_index(reader, accounts) if whole else ([], 0)
    stuck = [UnreadLedger(path, UNREAD_LINE) for path in reader.index.unread()]
    return VerifyFacts(
        accounts=accounts,
        unread=unread + stuck,
        compared=compared,
        disagreements=disagreements,
        waiting=len(waiting_paths(reader.storage)) - len(stuck),
        prices=_audit(reader, accounts) if prices else None,
        unknown=reader.index.unknown() if ledgers is None else (),
        archives=KnownArchives(reader.storage).faults() if ledgers is None else (),
    )


def _registered(reader: Reader) -> list[Path]:
    """Return the ledgers in the order in which they became known."""
    return reader.index.ledgers()


def _against_index(reader: Reader, accounts: Sequence[LedgerBytes]) -> tuple[list[Disagreement], int]:
    reader.index.catch_up_all()
    sums = {Path(str(g.key[0])): g.totals for g in reader.index.groups(("ledger",), Query())}
    moved = bool(reader.index.gone() or waiting_paths(reader.storage))
    moved = moved or not all(account.ledger.exists() for account in accounts)
    still = _still(accounts)
    disagreements = []
    for ledger, totals in still.items():
        indexed = sums.get(ledger, Totals())
        differs = any(getattr(indexed, name) != getattr(totals, name) for name in _COMPARED)
        if differs and not (moved and _all_counted(reader, ledger)):
            calls, cost = (indexed.calls, totals.calls), (indexed.cost, totals.cost)
            disagreements.append(Disagreement(ledger, calls, cost))
    return disagreements, len(still)


def _still(accounts: Sequence[LedgerBytes]) -> dict[Path, Totals]:
    """Return the sums by ledger: what was appended to since it was read says nothing."""
    sums: dict[Path, Totals] = {}
    for account in accounts:
        sums.setdefault(account.ledger, Totals()).merge(account.totals)
    read = Counter[Path]()
    for account in accounts:
        read[account.ledger] = account.accounted  # the last one is of the file that is there, if one is
    return {ledger: sums[ledger] for ledger, size in read.items() if _size(ledger, size) == size}


def _size(ledger: Path, otherwise: int) -> int:
    try:
        return ledger.lstat().st_size
    except FileNotFoundError:
        return otherwise  # it was packed away


def _all_counted(reader: Reader, ledger: Path) -> bool:
    """Tell whether every call of a ledger counts, even under the ledger's earlier path."""
    return all(reader.index.find(entry.id) is not None for entry in _distinct(reader, ledger))


def _audit(reader: Reader, accounts: Sequence[LedgerBytes]) -> PriceAudit:
    audit, history = PriceAudit(), PriceHistory(reader.catalogue)
    for ledger in dict.fromkeys(account.ledger for account in accounts):
        for call, corrections in with_corrections(partial(_distinct, reader, ledger)):
            for verdict in recompute(call, history, corrections):
                audit.outcomes[verdict.outcome] += 1
                if verdict.outcome in ("differs", "unknown"):
                    finding = PriceFinding(ledger, verdict.entry_id, verdict.outcome, verdict.text)
                    audit.findings.append(finding)
    return audit


def _distinct(reader: Reader, ledger: Path) -> Iterable[Entry]:
    """Return the entries of a ledger, each id once."""
    by_id: dict[str, Entry] = {}
    for entry in reader.index.entries_in(ledger):
        by_id.setdefault(entry.id, entry)
    return by_id.values()


def verify_report(facts: VerifyFacts) -> Report:
    """Return what the bytes of all ledgers are, and each line that is not simply an entry."""
    return Report(
        title=_title(facts),
        figures=tuple(_figures(facts)),
        tables=tuple(_tables(facts)),
        notes=(*(seal_notes(facts.sealed) if facts.sealed else ()), *_notes(facts)),
        data=_data(facts),
    )


def _title(facts: VerifyFacts) -> str:
    if facts.exit_code == BAD_NEWS:
        return "Problems found"
    if facts.unread:
        return "Could not read every ledger"
    if facts.archives:
        return "Could not read every archive"
    return "Every byte is accounted for" + (", except in lost ledgers" if facts.lost else "")


def _figures(facts: VerifyFacts) -> Iterator[Figure]:
    size = sum(account.accounted for account in facts.accounts)
    yield Figure("ledgers", "Ledgers", len(facts.accounts), "count", f"{size:,} bytes")
    for kind in LINE_KINDS:
        count = sum(account.lines[kind] for account in facts.accounts)
        if count or kind == "entry":
            tone: Tone = "critical" if kind in DAMAGE else "plain"
            note = _calls(facts, count) if kind == "entry" else ""
            yield Figure(kind, _WORDS[kind].capitalize(), count, "count", note, tone=tone)
    if facts.prices:
        for outcome, count in sorted(facts.prices.outcomes.items()):
            yield Figure(f"prices_{outcome}", f"Charges: {outcome}", count, "count")


def _calls(facts: VerifyFacts, entries: int) -> str:
    """Say how many calls the entries are about, where that differs: corrections are entries too."""
    calls = sum(account.totals.calls for account in facts.accounts)
    return "" if calls == entries else f"{plural(calls, 'call', 'calls')} and what corrects them"


def _tables(facts: VerifyFacts) -> Iterator[Table]:
    if lines := list(_lines(facts)):
        yield Table("Lines to look at", _LINE_COLUMNS, tuple(lines[:SHOWN]))
    if facts.sealed:
        yield from seal_tables(facts.sealed)
    if facts.unread:
        rows: tuple[Row, ...] = tuple((place_of(one.ledger), one.why) for one in facts.unread)
        yield Table("Could not be read", (Column("ledger", "Ledger"), Column("why", "Why", wraps=True)), rows)
    if facts.prices and facts.prices.findings:
        columns = (Column("entry", "Entry"), Column("outcome", "Charge"), Column("why", "Why", wraps=True))
        rows = tuple((one.entry_id, one.outcome, one.why) for one in facts.prices.findings[:SHOWN])
        yield Table("Charges to look at", columns, rows)


_LINE_COLUMNS: Final = (
    Column("ledger", "Ledger"),
    Column("offset", "Byte", "count"),
    Column("length", "Length", "count", rank=2),
    Column("kind", "State"),
    Column("why", "Why", rank=1, wraps=True),
)


def place_of(ledger: Path) -> Ref:
    """Return a ledger's path, in which a page may cut off the folders but not the job."""
    return Ref(str(ledger), "path")


def _lines(facts: VerifyFacts) -> Iterator[Row]:
    for account in facts.accounts:
        for finding in account.findings:
            kind = f"{finding.kind}, acknowledged" if facts.is_known(account, finding) else finding.kind
            why = finding.why.removeprefix(f"{finding.kind}: ")
            yield (place_of(account.ledger), finding.offset, finding.length, kind, why)


def _notes(facts: VerifyFacts) -> Iterator[Note]:
    yield from more_note(sum(len(account.findings) for account in facts.accounts) - SHOWN, " lines")
    for account in facts.accounts:
        if account.accounted < account.size:
            gap = account.size - account.accounted
            yield Note(
                f"{account.ledger} became shorter while it was read: {gap:,} bytes are gone.",
                "critical",
                places=(str(account.ledger),),
            )
    for one in facts.disagreements:
        text = f"The index has {one.calls[0]:,} calls of {one.ledger}, but its lines make {one.calls[1]:,}"
        yield Note(
            f"{text}. Remedy: cost-dashboard rebuild-index.",
            "critical",
            "cost-dashboard rebuild-index",
            (str(one.ledger),),
        )
    for path in facts.unknown:
        remedy = f"cost-dashboard rebuild-index --root {shlex.quote(str(path.parent))}"
        text = f"{path} lies beside known jobs, and its calls are not counted"
        yield Note(f"{text}. Remedy: {remedy}.", "critical", remedy, (str(path),))
    for fault in facts.archives:
        remedy = f"cost-dashboard archive verify --to {shlex.quote(fault.place)}"
        yield Note(f"{fault.why}. All of it is read by {remedy}.", "critical", remedy, (fault.place,))
    if facts.compared and not facts.disagreements:
        yield Note(f"The index agrees with the lines of {plural(facts.compared, 'ledger', 'ledgers')}.")
    waits = "in the spool, counted already; the next call writes them."
    yield from noted(facts.waiting, "line waits", "lines wait", waits)
    yield from _damage(facts)
    if facts.prices and facts.prices.outcomes["differs"]:
        yield Note("To correct wrong charges: cost-dashboard reprice --all.", "warning")


def _damage(facts: VerifyFacts) -> Iterator[Note]:
    for lost in facts.lost:
        yield _loss(lost)
    known = "acknowledged and not counted."
    yield from noted(len(facts.acknowledged), "damaged line is", "damaged lines are", known, "plain")
    if any(not facts.is_sound(account) for account in facts.accounts):
        remedy = "cost-dashboard verify --acknowledge"
        text = "A damaged line stays where it is; log its call again if you know what it was. Then"
        yield Note(f"{text} {remedy} makes checks pass again.", "warning", remedy)


def _loss(lost: LostLedger) -> Note:
    text = f"{lost.ledger} is gone, and its sums with it: {counted_before(lost.counted)}"
    places = (str(lost.ledger),)
    if lost.acknowledged:
        return Note(
            f"{text}. Acknowledged on {lost.acknowledged[:10]}; it counts again if you put it back.",
            places=places,
        )
    remedy = "cost-dashboard verify --acknowledge"
    return Note(f"{text}. Put it back, or accept the loss: {remedy}.", "critical", remedy, places)


def _data(facts: VerifyFacts) -> dict[str, object]:
    return {
        "sound": facts.exit_code == FINE,
        "ledgers": [_account(account, facts) for account in facts.accounts],
        "unread": [derive(one) for one in facts.unread],
        "index": {
            "compared_ledgers": facts.compared,
            "disagreements": [
                {
                    "ledger": str(one.ledger),
                    "index_calls": one.calls[0],
                    "ledger_calls": one.calls[1],
                    "index_cost_usd": to_usd(one.cost[0]),
                    "ledger_cost_usd": to_usd(one.cost[1]),
                }
                for one in facts.disagreements
            ],
        },
        "lost_ledgers": [derive(one, counted="counted_bytes") for one in facts.lost],
        "unknown_ledgers": [str(path) for path in facts.unknown],
        "archives": [derive(fault) for fault in facts.archives],
        "spooled_lines": facts.waiting,
        "prices": None if facts.prices is None else _prices(facts.prices),
        "sealed": None if facts.sealed is None else seal_data(facts.sealed),
    }


def _account(account: LedgerBytes, facts: VerifyFacts) -> dict[str, object]:
    return {
        **derive(account, "ledger", "size_bytes=size", "accounted_bytes=accounted"),
        "sound": facts.is_sound(account),
        "lines": {kind: account.lines[kind] for kind in LINE_KINDS},
        "bytes": {kind: account.bytes[kind] for kind in LINE_KINDS},
        **derive(account, "totals.calls", "totals.cost"),
        "findings": [
            {**derive(one), "acknowledged": facts.is_known(account, one)} for one in account.findings
        ],
    }


def _prices(audit: PriceAudit) -> dict[str, object]:
    return {
        "outcomes": dict(sorted(audit.outcomes.items())),
        "findings": [derive(one, entry_id="entry") for one in audit.findings],
    }


SPEC: Final = Spec(
    "Keep in order",
    (
        "verify",
        "verify out/2026-11-22/job-20261122-rpatel-0001",
        "verify --prices",
        "verify --sealed sealed-2026-10.json",
        "verify --acknowledge",
    ),
    VerifyQuestion,
    verify_facts,
    verify_report,
    options=(
        Option("", called="paths", metavar="[LEDGER_OR_JOB_DIR]...", parse=Path, many=True),
        Option("--job", "Only the ledger of this job.", "JOB", completes="job"),
        Option("--prices", "Also recompute every charge from the price that made it.", flag=True),
        Option("--sealed", "Also say what changed since close-month wrote FILE.", "FILE", parse=Path),
        Option(
            "--acknowledge",
            "Record the damage and the losses found as known from now on.",
            flag=True,
            changes=True,
        ),
    ),
)
