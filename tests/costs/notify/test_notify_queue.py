"""The queue and the sender: nothing lost, nothing repeated, nobody waited for."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from notify_servers import web_server

from shared.cost_tracker import CostTracker
from shared.costs.budgets.limits import Crossing, Limit, Scope, Spending, foresee
from shared.costs.budgets.port import Notice
from shared.costs.extras import install_command
from shared.costs.money import from_usd
from shared.costs.notify import __main__ as process
from shared.costs.notify import alerts
from shared.costs.notify.addresses import Address, budget_for
from shared.costs.notify.channel import MissingNotifyExtra
from shared.costs.notify.message import digest
from shared.costs.notify.sender import GATHER, GIVE_UP_AFTER, KEPT, LINGER, Sender, run, status
from shared.costs.periods import parse_month
from shared.costs.platform import close, lock, open_file
from shared.costs.profile.types import Budget, Profile
from shared.costs.rollup import Query
from shared.costs.storage import CostStorage
from shared.costs.store.state import QUIET, LocalNotices, StateDb
from shared.costs.workspace import Workspace
from tests.support.elapsed import PATIENCE_S

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
DUE = NOW + GATHER
NOTICE = Notice(audience="ana", profile="", key="k", level="warning", text="Budget threshold!", made_at=NOW)
PROFILE = """\
budget:
  notify: [env:HOOK_A]
organization:
  monthly_limit_usd: 100
users:
  ana: {budget: {notify: [env:HOOK_A, env:HOOK_B]}}
  bob: {budget: {notify: []}}
"""
ENVIRON = {"HOOK_A": "json://127.0.0.1:1/a", "HOOK_B": "json://127.0.0.1:1/b"}


class Post:
    """Takes what is delivered; ``faults`` says for which address it fails, and how."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str]]] = []
        self.faults: dict[str, str] = {}

    def __call__(self, address: Address, notices: Sequence[Notice]) -> str:
        self.taken.append((address.name, [notice.text for notice in notices]))
        return self.faults.get(address.name, "")


@pytest.fixture
def storage(tmp_path: Path) -> CostStorage:
    found = CostStorage(tmp_path / "storage")
    found.prepare()
    return found


@pytest.fixture
def state(storage: CostStorage) -> Iterator[StateDb]:
    found = StateDb(storage.state_path)
    yield found
    found.close()


@pytest.fixture
def queue(state: StateDb) -> LocalNotices:
    return LocalNotices(state)


@pytest.fixture
def profile(tmp_path: Path) -> str:
    path = tmp_path / "profile.yaml"
    path.write_text(PROFILE)
    return str(path)


def notice(profile: str, key: str = "k", audience: str = "ana") -> Notice:
    return replace(NOTICE, profile=profile, key=key, text=f"Budget {key}", audience=audience)


def test_a_notice_goes_to_each_address_once(queue: LocalNotices, profile: str) -> None:
    post = Post()
    sender = Sender(queue, ENVIRON, post)
    assert queue.enqueue([notice(profile)]) == 1
    assert sender.deliver_due(NOW).next_at == DUE
    assert post.taken == []
    assert sender.deliver_due(DUE).sent == 2
    assert post.taken == [("env:HOOK_A", ["Budget k"]), ("env:HOOK_B", ["Budget k"])]
    assert sender.deliver_due(DUE).sent == 0
    assert queue.waiting() == []


def test_amounts_are_in_the_currency_of_the_profile_at_the_rate_of_the_day(
    queue: LocalNotices, profile: str
) -> None:
    post = Post()
    with Path(profile).open("a") as file:
        file.write("currency: {show: EUR, rates: {2020-01-01: 0.5}}\n")
    queue.enqueue([replace(notice(profile, audience="carl"), text="Budget: $40.25 / $50.00")])
    assert Sender(queue, ENVIRON, post).deliver_due(DUE).sent == 1
    assert post.taken == [("env:HOOK_A", ["Budget: €20.12 / €25.00"])]


def test_what_is_due_together_goes_out_as_one_message(queue: LocalNotices, profile: str) -> None:
    post = Post()
    queue.enqueue([notice(profile, "a"), notice(profile, "b"), notice(profile, "c", audience="carl")])
    assert Sender(queue, ENVIRON, post).deliver_due(DUE).sent == 5
    assert post.taken == [
        ("env:HOOK_A", ["Budget a", "Budget b", "Budget c"]),
        ("env:HOOK_B", ["Budget a", "Budget b"]),
    ]


def test_a_repetition_is_quiet_for_a_day(queue: LocalNotices) -> None:
    later = replace(NOTICE, made_at=NOW + QUIET - timedelta(seconds=1))
    assert queue.enqueue([NOTICE, NOTICE, later]) == 1
    assert queue.enqueue([replace(NOTICE, made_at=NOW + QUIET)]) == 1


def test_only_the_address_that_failed_is_tried_again_later_and_later(
    queue: LocalNotices, profile: str
) -> None:
    post = Post()
    post.faults = {"env:HOOK_B": "was not accepted: status 500"}
    sender = Sender(queue, ENVIRON, post)
    queue.enqueue([notice(profile)])
    first = sender.deliver_due(DUE)
    assert first.faults == (("env:HOOK_B", "was not accepted: status 500"),)
    assert first.next_at == DUE + timedelta(seconds=30)
    post.taken.clear()
    assert sender.deliver_due(DUE + timedelta(seconds=29)).faults == ()
    second = sender.deliver_due(DUE + timedelta(seconds=30))
    assert post.taken == [("env:HOOK_B", ["Budget k"])]
    assert second.next_at == DUE + timedelta(seconds=150)
    post.faults.clear()
    assert sender.deliver_due(NOW, at_once=True).sent == 1
    assert queue.waiting() == []


def test_after_three_days_it_is_given_up_and_that_is_seen(queue: LocalNotices, profile: str) -> None:
    post = Post()
    post.faults = {"env:HOOK_A": "gone", "env:HOOK_B": "gone"}
    queue.enqueue([notice(profile)])
    last = Sender(queue, ENVIRON, post).deliver_due(NOW + GIVE_UP_AFTER)
    assert last.next_at is None
    assert status(queue, NOW + GIVE_UP_AFTER).given_up == (("Budget k", "gone"), ("Budget k", "gone"))
    assert status(queue, NOW + timedelta(days=40)).given_up == ()


def test_without_its_variable_an_address_waits_and_says_so(queue: LocalNotices, profile: str) -> None:
    queue.enqueue([notice(profile, audience="carl")])
    found = Sender(queue, {}).deliver_due(DUE)
    assert found.faults == (("env:HOOK_A", "the environment variable HOOK_A is not set"),)
    assert status(queue, DUE).waiting == 1


def test_a_refused_profile_keeps_the_notice(queue: LocalNotices, profile: str) -> None:
    queue.enqueue([notice(profile)])
    Path(profile).write_text("budget: {notify: 7}\n")
    post = Post()
    (fault,) = Sender(queue, ENVIRON).deliver_due(DUE).faults
    assert fault[0] == "the profile"
    Path(profile).write_text(PROFILE)
    assert Sender(queue, ENVIRON, post).deliver_due(DUE, at_once=True).sent == 2


def test_a_notice_that_nobody_wants_any_more_is_done(queue: LocalNotices, profile: str) -> None:
    queue.enqueue([notice(profile, audience="bob")])
    assert Sender(queue, ENVIRON).deliver_due(DUE).next_at is None
    assert queue.waiting() == []


def test_old_notices_are_forgotten(queue: LocalNotices, state: StateDb, profile: str) -> None:
    sender = Sender(queue, ENVIRON, Post())
    queue.enqueue([notice(profile, "old")])
    sender.deliver_due(DUE)
    queue.enqueue([replace(notice(profile, "new"), made_at=NOW + KEPT * 2)])
    sender.deliver_due(NOW + KEPT * 2 + GATHER)
    assert state.read(lambda db: db.execute("SELECT key FROM notices").fetchall()) == [("new",)]
    assert state.read(lambda db: db.execute("SELECT count(*) FROM deliveries").fetchone()) == (2,)


def test_no_address_is_kept_in_the_queue(
    queue: LocalNotices, state: StateDb, profile: str, storage: CostStorage
) -> None:
    secret = {"HOOK_A": "json://u:hunter2secret@127.0.0.1:1/a", "HOOK_B": "json://127.0.0.1:1/hunter2secret"}
    queue.enqueue([notice(profile)])
    Sender(queue, secret, Post()).deliver_due(DUE)
    state.close()
    for path in storage.root.iterdir():
        if path.is_file():
            assert b"hunter2secret" not in path.read_bytes()


def test_the_organisations_alerts_go_to_its_own_addresses_or_the_default_ones() -> None:
    default, own = Budget(notify=("env:A",)), Budget(notify=("env:B",))
    assert budget_for(Profile(budget=default), "") == default
    assert budget_for(Profile(budget=default, organization=own), "") == own
    assert budget_for(Profile(budget=default, organization=own), "ana") == default


def test_a_digest_is_as_loud_as_its_loudest() -> None:
    message = digest([NOTICE, replace(NOTICE, level="critical"), replace(NOTICE, level="info")])
    assert (message.level, message.subject) == ("critical", "AI costs: 3 alerts")
    assert len(message.text.splitlines()) == 3


# --- the process ---------------------------------------------------------------------------------


class Clock:
    """A clock that waiting moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.waited: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += timedelta(seconds=max(seconds, 0.001))


def test_a_sender_stays_for_early_retries_and_leaves_the_rest(
    storage: CostStorage, queue: LocalNotices, profile: str
) -> None:
    post, clock = Post(), Clock()
    post.faults = {"env:HOOK_A": "down", "env:HOOK_B": "down"}
    queue.enqueue([notice(profile)])
    run(storage, Sender(queue, ENVIRON, post), clock, clock.wait)
    assert [name for name, _ in post.taken] == ["env:HOOK_A", "env:HOOK_B"] * 3  # at once, 30 s, 2 min
    assert clock.now - NOW < timedelta(minutes=4)
    assert max(clock.waited) <= 2.0
    due = Sender(queue, ENVIRON).next_due()
    assert due is not None
    assert due - clock.now > LINGER


def test_a_sender_makes_no_storage_anew_that_is_removed_while_it_waits(
    storage: CostStorage, queue: LocalNotices, profile: str
) -> None:
    queue.enqueue([notice(profile)])
    post, clock = Post(), Clock()
    post.faults = {"env:HOOK_A": "down", "env:HOOK_B": "down"}

    def removed(seconds: float) -> None:
        clock.wait(seconds)
        shutil.rmtree(storage.root)

    run(storage, Sender(queue, ENVIRON, post), clock, removed)
    assert len(clock.waited) == 1
    assert not storage.root.exists()
    assert process.main([str(storage.root)]) == 0
    assert not storage.root.exists()


def test_a_second_sender_leaves_at_once(storage: CostStorage, queue: LocalNotices, profile: str) -> None:
    queue.enqueue([notice(profile)])
    fd = open_file(storage.root / "notify.lock", write=True, create=True)
    try:
        assert lock(fd, 0.0)
        post = Post()
        run(storage, Sender(queue, ENVIRON, post), Clock())
        assert post.taken == []
    finally:
        close(fd)


def test_a_notice_that_comes_when_the_sender_is_leaving_is_sent(
    storage: CostStorage, queue: LocalNotices, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, clock = Post(), Clock()
    real = Sender.next_due
    came: list[int] = []

    def late(self: Sender) -> datetime | None:
        if not came:
            came.append(queue.enqueue([replace(notice(profile, "late"), made_at=clock.now)]))
        return real(self)

    monkeypatch.setattr(Sender, "next_due", late)
    run(storage, Sender(queue, ENVIRON, post), clock, clock.wait)
    assert [texts for _, texts in post.taken] == [["Budget late"], ["Budget late"]]


def test_the_process_needs_apprise_and_keeps_the_queue(
    storage: CostStorage,
    queue: LocalNotices,
    profile: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    queue.enqueue([replace(notice(profile), made_at=datetime.now(UTC) - timedelta(minutes=1))])
    monkeypatch.setitem(sys.modules, "apprise", None)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    assert process.main([str(storage.root)]) == MissingNotifyExtra.exit_code
    assert "pip install" in capsys.readouterr().err
    assert len(queue.waiting()) == 1


# --- from a crossing to a message ----------------------------------------------------------------

CROSSED = Crossing(Limit(Scope("ana", "month"), from_usd(50), None, Query()), from_usd(50), 100.0)


def workspace_of(storage: CostStorage, profile: str) -> Workspace:
    return Workspace(storage.root, profile, environ={})


def test_a_crossing_wakes_a_sender_that_outlives_the_stage(
    storage: CostStorage, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("apprise")
    with web_server() as web, workspace_of(storage, profile) as workspace:
        monkeypatch.setenv("HOOK_A", f"json://127.0.0.1:{web.port}/a")
        monkeypatch.setenv("HOOK_B", f"json://127.0.0.1:{web.port}/b")
        web.hold = threading.Event()
        assert alerts.notify_crossings(workspace, [CROSSED]) == [CROSSED]
        assert len(workspace.notices.waiting()) == 1  # it did not wait for a server that does not answer
        web.hold.set()
        taken = sorted((web.taken.get(timeout=PATIENCE_S) for _ in range(2)), key=lambda one: one.path)
        assert [one.path for one in taken] == ["/a", "/b"]
        assert "Budget limit reached! $50.00 / $50.00 (100.0%)" in taken[0].data["message"]
        assert alerts.notify_crossings(workspace, [CROSSED]) == []
        _until_nobody_sends(storage)
        assert workspace.notices.waiting() == []


def test_a_call_that_crosses_a_limit_is_heard_of(
    storage: CostStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("apprise")
    with web_server() as web:
        monkeypatch.setenv("HOOK", f"json://127.0.0.1:{web.port}/x")
        path = tmp_path / "tight.yaml"
        path.write_text("budget: {monthly_limit_usd: 0.01, notify: [env:HOOK]}\n")
        monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
        with CostTracker(tmp_path / "job-1", "ana", cost_storage_path=storage.root) as tracker:
            tracker.log_usage("openai", "gpt-4o", 10_000, 1_000)
        assert "limit reached! $0.0350 / $0.0100" in web.taken.get(timeout=PATIENCE_S).data["message"]
        _until_nobody_sends(storage)


def test_a_month_on_course_to_pass_its_limit_is_told_of_once_beside_its_thresholds(
    storage: CostStorage, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "wake", lambda _storage: None)
    november = parse_month("2026-11", ZoneInfo("UTC"))
    limit = CROSSED.limit._replace(period=november)
    foreseen = foresee(Spending(limit, from_usd(30)), from_usd("93.85"))
    assert foreseen is not None
    worse = foreseen._replace(projected=from_usd("99"))
    reached = CROSSED._replace(limit=limit)
    with workspace_of(storage, profile) as workspace:
        assert alerts.notify_crossings(workspace, [foreseen]) == [foreseen]
        assert alerts.notify_crossings(workspace, [worse, reached]) == [reached]
        first, second = (queued.notice for queued in workspace.notices.waiting())
    assert (first.level, second.level) == ("warning", "critical")
    assert "on course for $93.85 by month end!" in first.text
    assert digest([first]).subject.endswith("on course for $93.85 by month end! Limit: $50.00")


def _until_nobody_sends(storage: CostStorage) -> None:
    fd = open_file(storage.root / "notify.lock", write=True, create=True)
    try:
        assert lock(fd, PATIENCE_S)
    finally:
        close(fd)


def test_only_those_with_an_address_are_told(
    storage: CostStorage, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "wake", lambda _storage: pytest.fail("woke a sender for nobody"))
    nobody = CROSSED._replace(limit=CROSSED.limit._replace(scope=Scope("bob", "month")))
    organisation = CROSSED._replace(limit=CROSSED.limit._replace(scope=Scope(None, "month")))
    with workspace_of(storage, profile) as workspace:
        assert alerts.notify_crossings(workspace, [nobody]) == [nobody]
        assert workspace.notices.waiting() == []
        assert alerts.notice_of(nobody, workspace.profile, NOW) is None
        notice = alerts.notice_of(organisation, workspace.profile, NOW)
    assert notice is not None
    assert (notice.audience, notice.level) == ("", "critical")


def test_without_apprise_the_notice_waits_and_the_log_says_so(
    storage: CostStorage, profile: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with workspace_of(storage, profile) as workspace, caplog.at_level(logging.WARNING):
        assert alerts.notify_crossings(workspace, [CROSSED]) == [CROSSED]
        assert len(workspace.notices.waiting()) == 1
    assert install_command("notify") in caplog.text


def test_a_sender_that_cannot_start_leaves_the_queue_and_the_stage_alone(
    storage: CostStorage, profile: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_args: object, **_kwargs: object) -> None:
        raise OSError(11, "no more processes")

    monkeypatch.setattr("subprocess.run", failing)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: True)
    with workspace_of(storage, profile) as workspace, caplog.at_level(logging.WARNING):
        assert alerts.notify_crossings(workspace, [CROSSED]) == [CROSSED]
        assert len(workspace.notices.waiting()) == 1
    assert "no sender could be started" in caplog.text


def test_an_alert_is_never_told_without_being_queued(
    storage: CostStorage, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_args: object) -> int:
        raise KeyboardInterrupt

    with workspace_of(storage, profile) as workspace:
        with monkeypatch.context() as patch:
            patch.setattr("shared.costs.store.state._queue", killed)
            with pytest.raises(KeyboardInterrupt):
                alerts.notify_crossings(workspace, [CROSSED])
        monkeypatch.setattr(alerts, "wake", lambda _storage: None)
        assert alerts.notify_crossings(workspace, [CROSSED]) == [CROSSED]
        assert len(workspace.notices.waiting()) == 1


def test_many_threads_queue_the_same_alert_once(queue: LocalNotices, profile: str) -> None:
    queued: list[int] = []
    threads = [
        threading.Thread(target=lambda: queued.append(queue.enqueue([notice(profile)]))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(queued) == [0] * 7 + [1]
