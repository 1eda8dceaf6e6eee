"""What was spent within each kind of limit, from a real index."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from shared.costs.budgets.limits import limits_for
from shared.costs.budgets.spending import LOOK_S, Questions, read_spendings, spend_by_bucket
from shared.costs.ledger.counted import new_id
from shared.costs.ledger.line import encode
from shared.costs.model import Charge, Entry, PricedBy
from shared.costs.money import Nanos, from_usd
from shared.costs.platform import close, open_file
from shared.costs.profile import Profile
from shared.costs.profile.reading import parse_profile
from shared.costs.rollup import Dimension, Group, JobRef, Query, Totals
from shared.costs.storage import CostStorage
from shared.costs.store.store import Store

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

PROFILE = """
timezone: Asia/Kathmandu
budget:
  daily_limit_usd: 100
  weekly_limit_usd: 100
  monthly_limit_usd: 100
  job_limit_usd: 100
  stage_limits_usd: {asr: 100, mt: 100}
  model_limits_usd: {openai/gpt-4: 100, openai/gpt-4o: 100, gpt-5: 100}
  project_limits_usd: {subtitles: 100, other: 100}
  tag_limits_usd: {"customer:acme": 100, night: 100, "customer:ac": 100}
organization: {monthly_limit_usd: 100}
"""

# usd, at (UTC), user, job, stage, model
SPENT = [
    ("1", "2026-11-22T11:00", "u", "a", "asr", "gpt-4"),
    ("2", "2026-11-21T18:14", "u", "a", "mt", "gpt-4o"),  # in Kathmandu 23:59 of the 21st
    ("4", "2026-11-21T18:15", "u", "a", "asr", "gpt-4-0613"),  # and 00:00 of the 22nd
    ("8", "2026-11-15T18:15", "u", "b", "asr", "gpt-4o"),  # Monday 00:00
    ("16", "2026-10-31T18:14", "u", "a", "asr", "gpt-4"),  # October
    ("32", "2026-11-22T11:00", "v", "a", "asr", "gpt-4"),
]


def names(service: str, model: str) -> str:
    return f"{service}/{model.removesuffix('-0613')}"


def read() -> Profile:
    return parse_profile(PROFILE.encode(), Path("profile.yaml"))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Store]:
    storage = CostStorage(tmp_path / "costs")
    storage.prepare()
    with Store.of(storage) as index:
        for usd, at, user, job, stage, model in SPENT:
            ledger = job_of(tmp_path, job).ledger
            ledger.parent.mkdir(exist_ok=True)
            index.note(ledger)
            entry = Entry(
                id=new_id(),
                timestamp=datetime.fromisoformat(f"{at}+00:00"),
                job_id=job,
                user_id=user,
                stage=stage,
                service="openai",
                model=model,
                charge=Charge({"input": from_usd(usd)}, PricedBy("catalogue", "1", f"openai/{model}")),
                project="subtitles" if job == "a" else None,
                tags=("customer:acme", "night") if stage == "asr" else ("day",),
            )
            descriptor = open_file(ledger, append=True, create=True)
            os.write(descriptor.fileno(), encode(entry))
            close(descriptor)
        yield index


def job_of(folder: Path, job: str) -> JobRef:
    return JobRef(job, folder / job / "cost_ledger.jsonl")


def test_each_limit_bounds_its_own_spend(index: Store, tmp_path: Path) -> None:
    index.catch_up_all()
    limits = limits_for(read(), "u", NOW, job_of(tmp_path, "a"))
    spent = {str(s.limit.scope): s.spent // 10**9 for s in read_spendings(limits, index, names)}
    assert spent == {
        "daily limit of user u": 1 + 4,
        "weekly limit of user u": 1 + 2 + 4 + 8,
        "monthly limit of user u": 1 + 2 + 4 + 8,
        "limit of user u for model openai/gpt-4": 1 + 4,
        "limit of user u for model openai/gpt-4o": 2 + 8,
        "limit of user u for model gpt-5": 0,
        "limit of user u for project subtitles": 1 + 2 + 4,
        "limit of user u for project other": 0,
        "limit of user u for tag customer:acme": 1 + 4 + 8,
        "limit of user u for tag night": 1 + 4 + 8,
        "limit of user u for tag customer:ac": 0,
        "limit of user u for job a": 1 + 2 + 4 + 16 + 32,
        "limit of user u for stage asr": 1 + 4 + 16 + 32,
        "limit of user u for stage mt": 2,
        "monthly limit of the organization": 1 + 2 + 4 + 8 + 32,
    }


def test_a_question_that_several_limits_share_is_asked_once(index: Store, tmp_path: Path) -> None:
    asked: Counter[object] = Counter()

    class Counting:
        def spends(self, queries: Sequence[Query]) -> list[int]:
            asked.update(queries)
            return index.spends(queries)

        def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
            asked[tuple(by), query] += 1
            return index.groups(by, query)

    limits = limits_for(read(), "u", NOW, job_of(tmp_path, "a"))
    twice = [*limits, *limits]
    first, second = (read_spendings(twice, reader, names) for reader in (Counting(), index))
    assert first == second
    assert set(asked.values()) == {1}


def test_each_limit_has_its_days(index: Store, tmp_path: Path) -> None:
    """What forecasts read adds up to what the limit bounds, whichever limit it is."""
    limits = [each for each in limits_for(read(), "u", NOW, job_of(tmp_path, "a")) if each.period]
    for spending in read_spendings(limits, index, names):
        period = spending.limit.period
        assert period is not None
        buckets = spend_by_bucket(spending.limit, index.groups, names, period.start, period.end)
        assert sum(buckets.values()) == spending.spent


class Spent:
    """What was spent by model, as a reader gives it; it counts how often sums are split."""

    def __init__(self) -> None:
        self.by_model = {"gpt-4": 0, "gpt-4o": 0, "other": 0}
        self.splits = 0

    def spends(self, asked: Sequence[Query]) -> list[int]:
        return [sum(self.by_model.values())] * len(asked)

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        self.splits += 1
        return [Group(("openai", model), Totals(cost=Nanos(spent))) for model, spent in self.by_model.items()]


@pytest.mark.parametrize("seed", range(4))
def test_sums_are_split_again_only_where_a_threshold_may_have_been_reached(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = parse_profile(
        b"budget: {monthly_limit_usd: null, model_limits_usd: {openai/gpt-4: 100, openai/gpt-4o: 50},"
        b" alert_threshold_percent: [50, 80]}",
        Path("profile.yaml"),
    )
    questions, reader, chance, clock = Questions(limits_for(profile, "u", NOW)), Spent(), Random(seed), [0.0]
    monkeypatch.setattr("shared.costs.budgets.spending.time.monotonic", lambda: clock[0])
    told: list[float | None] = [None, None]
    for _ in range(400):
        reader.by_model[chance.choice(list(reader.by_model))] += from_usd(chance.randrange(100)) // 100
        clock[0] += 0.001
        spends = reader.spends(questions.queries)
        if not questions.are_quiet(spends):
            told = [each.threshold for each in questions.answered(reader, names, spends)]
        now = [each.threshold for each in read_spendings(questions.limits, copy_of(reader), names)]
        assert told == now
    assert 4 <= reader.splits < 100
    clock[0] += LOOK_S  # what others took back is seen after a while
    assert not questions.are_quiet(reader.spends(questions.queries))


def copy_of(reader: Spent) -> Spent:
    """Return a reader of the same that counts for itself."""
    other = Spent()
    other.by_model = reader.by_model
    return other
