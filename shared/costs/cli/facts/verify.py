"""The facts of ``verify``: every ledger read from its first byte, and held against the index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from ...index.catchup import GONE
from ...ledger.reader import read
from ...ledger.spool import waiting_paths
from ...ledger.verify import Account, Verifier
from ...model import Entry
from ...pricing.history import PriceHistory, recompute, with_corrections
from ...rollup import TOTALS_FIELDS, Query, Totals
from ...views.verify import Disagreement, PriceAudit, PriceFinding, Unread, VerifyFacts
from ...workspace import Workspace
from ..progress import Told

_COMPARED = tuple(name for name in TOTALS_FIELDS if name != "jobs")


def verify_facts(
    workspace: Workspace, ledgers: Sequence[Path] | None, told: Told, *, prices: bool = False
) -> VerifyFacts:
    """Return what was found in these ledgers, or with ``None`` in all that are registered."""
    chosen = list(ledgers) if ledgers is not None else _registered(workspace)
    verifier, accounts, unread = Verifier(), list[Account](), list[Unread]()
    for number, ledger in enumerate(chosen):
        try:
            accounts.append(verifier.verify(ledger))
        except FileNotFoundError:
            unread.append(Unread(ledger, GONE))
        except OSError as fault:
            unread.append(Unread(ledger, str(fault)))
        told(number + 1, len(chosen))
    whole = ledgers is None and not unread
    disagreements, compared = _against_index(workspace, accounts) if whole else ([], 0)
    return VerifyFacts(
        accounts=accounts,
        unread=unread,
        compared=compared,
        disagreements=disagreements,
        waiting=len(waiting_paths(workspace.storage)),
        prices=_audit(workspace, accounts) if prices else None,
    )


def _registered(workspace: Workspace) -> list[Path]:
    """Return the ledgers in the order they were registered, which decides where an id counts."""
    workspace.index.catch_up_all()  # drops the places that ledgers were moved away from
    return [each.path for each in sorted(workspace.index.registry.all(), key=lambda each: each.id)]


def _against_index(workspace: Workspace, accounts: Sequence[Account]) -> tuple[list[Disagreement], int]:
    workspace.index.catch_up_all()
    sums = {Path(str(g.key[0])): g.totals for g in workspace.index.groups(("ledger",), Query())}
    still = [account for account in accounts if account.ledger.lstat().st_size == account.accounted]
    found = []
    for account in still:  # what was appended to since it was read says nothing
        indexed = sums.get(account.ledger, Totals())
        if any(getattr(indexed, name) != getattr(account.totals, name) for name in _COMPARED):
            calls, cost = (indexed.calls, account.totals.calls), (indexed.cost, account.totals.cost)
            found.append(Disagreement(account.ledger, calls, cost))
    return found, len(still)


def _audit(workspace: Workspace, accounts: Sequence[Account]) -> PriceAudit:
    audit, history = PriceAudit(), PriceHistory(workspace.catalogue)
    for account in accounts:
        for call, corrections in with_corrections(partial(_distinct, account.ledger)):
            for verdict in recompute(call, history, corrections):
                audit.outcomes[verdict.outcome] += 1
                if verdict.outcome in ("differs", "unknown"):
                    finding = PriceFinding(account.ledger, verdict.entry_id, verdict.outcome, verdict.text)
                    audit.findings.append(finding)
    return audit


def _distinct(ledger: Path) -> Iterator[Entry]:
    """Return the entries of a ledger, each id once."""
    seen = set[str]()
    for located in read(ledger):
        entry = located.content
        if isinstance(entry, Entry) and entry.id not in seen:
            seen.add(entry.id)
            yield entry
