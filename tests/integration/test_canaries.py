"""Secrets that a caller hands over by mistake: in by every way that takes text of any kind, out by none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from shared.cost_tracker import CostTracker
from shared.costs import platform
from shared.costs.apps.cli.program import run
from shared.costs.exchange.exports import exports
from shared.costs.ledger import recorder
from shared.costs.ledger.reader import read
from shared.costs.ledger.spool import waiting_paths
from shared.costs.model import Entry
from shared.costs.storage import LEDGER_NAME, CostStorage
from tests.costs.ledger.test_ledger_redact import CANARIES, SECRET

REPORTS = (
    *(
        ["show-job", "job-1"],
        ["show-monthly"],
        ["show-budget"],
        ["report"],
        ["summary"],
        ["show-optimization"],
    ),
    *(["verify"], ["doctor"], ["anomalies"], ["export", "json", "-"]),
)


def leaks(content: bytes) -> list[str]:
    """The secrets that some bytes hold."""
    return [secret for secret in SECRET if secret.encode() in content]


def readable(export: Path) -> bytes:
    """The bytes of an export, uncompressed."""
    content = export.read_bytes()
    if not content.startswith(b"PAR1"):
        return content
    duckdb = pytest.importorskip("duckdb")
    plain = export.with_suffix(".plain.json")
    duckdb.sql(f"COPY (SELECT * FROM read_parquet('{export}')) TO '{plain}'")
    return plain.read_bytes()


def log_all(tracker: CostTracker) -> None:
    for name, canary in CANARIES.items():
        label = canary if canary.isprintable() and len(canary) < 200 else "short"
        tracker.log_usage(
            "openai",
            "gpt-4o",
            1000,
            200,
            stage="13_ai_summarization",
            description=f"called with {canary} as {name}",
            operation=label,
            workflow=f"after {label}",
            project=label,
            tags=["nightly", label.replace(",", "")],
            metadata={"note": canary, "deep": [{"value": f"see {canary}"}], "error": RuntimeError(canary)},
        )


def read_ids(ledger: Path) -> list[str]:
    return [found.content.id for found in read(ledger) if isinstance(found.content, Entry)]


@contextmanager
def careless(folder: Path) -> Iterator[Path]:
    """A job whose calls carried every canary, half of them waiting in the spool; its storage is beside it."""
    job, home = folder / "job-1", folder / "home"
    with CostTracker(job, "1", home) as tracker:
        log_all(tracker)
        for entry, canary in zip(read_ids(job / LEDGER_NAME), CANARIES.values(), strict=True):
            if canary.isprintable():
                tracker.reverse(entry, f"called with {canary}")
        log_all(tracker)
    fd = platform.open_file(job / LEDGER_NAME, append=True)
    assert platform.lock(fd, 5)
    try:
        with mock.patch.object(recorder, "LOCK_TIMEOUT_S", 0.0), CostTracker(job, "1", home) as tracker:
            log_all(tracker)
        assert len(waiting_paths(CostStorage(home))) == len(CANARIES)
        yield job
    finally:
        platform.close(fd)


@pytest.fixture(scope="module")
def shared_job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One such job for all that only looks at it."""
    with careless(tmp_path_factory.mktemp("careless")) as job:
        yield job


@pytest.fixture
def job(shared_job: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COST_TRACKER_HOME", str(shared_job.parent / "home"))
    return shared_job


def test_no_file_holds_a_canary(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with careless(tmp_path) as job:
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {path.name for path in files} >= {LEDGER_NAME, "sums.db", "ledgers.journal"}
        assert {path.name: found for path in files if (found := leaks(path.read_bytes()))} == {}
        assert b"[redacted]" in (job / LEDGER_NAME).read_bytes()
    out, err = capfd.readouterr()
    assert caplog.text
    assert leaks((caplog.text + out + err).encode()) == []


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", sorted(exports()))
def test_no_export_holds_a_canary(job: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / f"export.{kind}"
    assert run(["export", kind, str(target)]) == 0
    content = readable(target)
    assert b"gpt-4o" in content
    assert leaks(content) == []


@pytest.mark.no_cover
@pytest.mark.parametrize("command", REPORTS, ids=" ".join)
@pytest.mark.parametrize("form", ["text", "html"])
def test_no_report_holds_a_canary(
    job: Path, command: list[str], form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    run([*command, *(["--format", form] if command[0] != "export" else [])])
    out, err = capsys.readouterr()
    assert out
    assert leaks((out + err).encode()) == []


def test_what_is_printed_as_a_last_resort_holds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    logging.getLogger("shared.cost_tracker").setLevel(logging.DEBUG)
    with CostTracker(tmp_path / "job-1", "1") as tracker:
        with monkeypatch.context() as broken:
            broken.setattr("os.write", fail)
            log_all(tracker)
        said = capfd.readouterr().err
        assert said.count("cost tracking: not written to") == len(CANARIES)
        assert leaks(said.encode()) == []
