"""A call whose ledger cannot be written counts all the same, once, until and after it stands there."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.ledger import recorder, spool
from shared.costs.ledger.line import decode, encode
from shared.costs.money import from_usd
from shared.costs.rollup import Query
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.gone import WAITING
from shared.costs.store.store import Store
from tests.costs.store.store_support import month, spent

CALL = 4_500_000
"""What 1,000 tokens in and 200 out of gpt-4o cost, in nano-dollars."""


def missed(ledger: Path, fault: OSError) -> None:
    """Fail: every entry is to be had."""
    pytest.fail(f"{ledger}: {fault}")


class Blocked:
    """A job with two calls in its ledger, of which three more could not be written."""

    def __init__(self, root: Path, storage: Path, disk: pytest.MonkeyPatch) -> None:
        self.storage = CostStorage(storage)
        self.ledger = root / "jobs" / "job" / LEDGER_NAME
        self.tracker = CostTracker(self.ledger.parent)
        for _ in range(2):
            self.log()
        self._disk = disk
        disk.setattr(recorder, "append", full)
        for number in range(3):
            self.log(request_id=f"request-{number}")

    def log(self, request_id: str | None = None) -> float:
        """Log a call."""
        return self.tracker.log_usage("openai", "gpt-4o", 1_000, 200, request_id=request_id)

    def log_until_written(self) -> int:
        """Log calls until nothing waits; return how many."""
        calls = 0
        while spool.listed(self.storage):
            self.log()
            calls += 1
        return calls

    def mend(self) -> None:
        """Let ledgers be written again."""
        self._disk.undo()

    def another(self) -> Store:
        """Return the store as another process has it."""
        return Store(self.storage)


def full(*_: object) -> None:
    """Take no byte."""
    raise OSError(errno.ENOSPC, "no room")


@pytest.fixture
def blocked(tmp_path: Path, cost_home: Path) -> Iterator[Blocked]:
    """A job whose disk is full for now."""
    with pytest.MonkeyPatch.context() as disk:
        job = Blocked(tmp_path, cost_home, disk)
        yield job
    job.tracker.close()


def begun_anew(job: Blocked) -> None:
    """The sums are lost."""
    for path in job.storage.root.glob("sums.db*"):
        path.unlink()


def begun_anew_without_the_kept(job: Blocked) -> None:
    """The sums are lost together with what is kept of ledgers."""
    begun_anew(job)
    (job.storage.root / "kept.journal").unlink()


def rebuilt(job: Blocked) -> None:
    """Everything is added up anew."""
    with job.another() as store:
        store.rebuild()


def logged_again(job: Blocked) -> None:
    """The same requests are logged once more."""
    assert [job.log(request_id=f"request-{number}") for number in range(3)] == [0.0045] * 3


def nothing(job: Blocked) -> None:
    """Nothing happens."""


EVENTS = [nothing, begun_anew, begun_anew_without_the_kept, rebuilt, logged_again]


@pytest.mark.parametrize("event", EVENTS)
def test_what_waits_counts_at_once_and_once(blocked: Blocked, event: Callable[[Blocked], None]) -> None:
    store = Store.of(blocked.storage)
    assert (spent(store), blocked.tracker.get_monthly_cost()) == (5 * CALL, 0.0225)
    event(blocked)
    for _ in range(2):
        with blocked.another() as other:
            assert month(other) == month(store) == spent(store) == 5 * CALL
            assert sum(1 for _ in other.entries(Query(), missed)) == 5
    blocked.mend()
    calls = 5 + blocked.log_until_written()
    event(blocked)
    with blocked.another() as other:
        assert month(other) == month(store) == spent(store) == calls * CALL
        assert sum(1 for _ in other.entries(Query(), missed)) == calls
        assert (other.gone(), other.problems()) == ([], [])
    assert from_usd(blocked.tracker.get_job_cost()) == calls * CALL


def test_what_waits_stays_spent_where_somebody_clears_the_spool(blocked: Blocked) -> None:
    for path in spool.waiting_paths(blocked.storage):
        path.unlink()
    told = list[str]()
    with blocked.another() as other:
        assert month(other) == 5 * CALL
        [gone] = other.gone()
        assert (gone.path, gone.why, gone.calls) == (blocked.ledger, WAITING, 3)
        assert sum(1 for _ in other.entries(Query(), lambda _, fault: told.append(str(fault)))) == 2
    assert told == ["[Errno 2] 3 of its lines were in the spool; ask again"]


def test_what_waits_is_spent_for_the_gate(blocked: Blocked, tmp_path: Path) -> None:
    """Also where it was logged without a reservation, and counts once where it was under one."""
    profile = tmp_path / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 0.0275, block_at_limit: true}\n")
    with CostTracker(blocked.ledger.parent, profile_path=profile) as tracker:
        for tokens, output in ((1_000, 200), (160, 10)):
            with tracker.reserve("openai", "gpt-4o", tokens_input=tokens, max_tokens_output=output) as hold:
                tracker.log_usage("openai", "gpt-4o", tokens, output, reservation=hold)
        with (
            pytest.raises(BudgetExceeded, match=r"\$0.0275, \$0.0275 is spent"),
            tracker.reserve("openai", "gpt-4o", tokens_input=1, max_tokens_output=0),
        ):
            pass


def test_a_waiting_line_of_an_import_counts_once(blocked: Blocked) -> None:
    """Its file is not named after its id, which is not ours."""
    [first, *_] = spool.waiting(blocked.storage)
    odd = replace(decode(first.line), id="../row 7", request_id=None)
    spool.put(blocked.storage, blocked.ledger, encode(odd), odd.id)
    with blocked.another() as other:
        assert month(other) == 6 * CALL
        before = other.version
        assert month(other) == 6 * CALL
        assert other.version == before
