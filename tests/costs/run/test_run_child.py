"""Inside a program under ``run``: which instrumentation is taken, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.costs.capture.captured import Captured
from shared.costs.ledger.reader import read
from shared.costs.model import Entry, Usage
from shared.costs.run.child import Reporter
from shared.costs.run.libraries import LIBRARIES, Library, instrument, reports_by_itself
from tests.support.lazily import is_there

INSTRUMENTORS = """
class DependencyConflictError(Exception):
    pass

class TooNew:
    def instrument(self, **_):
        raise DependencyConflictError("only instruments acme<3")

class Broken:
    def instrument(self, **_):
        raise ValueError("no such method")

class Fine:
    asked = []

    def instrument(self, **given):
        self.asked.append(given)
"""


@pytest.fixture
def instrumentors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with instrumentors of an invented library, on the module search path."""
    name = f"instrumentors_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(INSTRUMENTORS)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def library(*places: str) -> Library:
    return Library("acme", "acme-instrumentation", places)


def test_one_that_does_not_support_the_version_is_passed_over(instrumentors: str) -> None:
    places = ("no_such_module:Acme", f"{instrumentors}:TooNew", f"{instrumentors}:Fine")
    assert instrument(library(*places), "a provider")
    [asked] = __import__(instrumentors).Fine.asked
    assert asked == {"tracer_provider": "a provider", "raise_exception_on_conflict": True}


def test_there_is_none(instrumentors: str) -> None:
    assert not instrument(library("no_such_module:Acme", f"{instrumentors}:TooNew"), None)


@pytest.mark.parametrize(
    ("own_spans", "does"),
    [(None, False), ("json.decoder", True), ("json.no_such_module", False), ("no_such.module", False)],
)
def test_libraries_that_report_by_themselves(own_spans: str | None, does: bool) -> None:
    assert reports_by_itself(Library("acme", "acme", (), own_spans)) is does


@pytest.mark.skipif(not is_there("opentelemetry.sdk"), reason="needs opentelemetry-sdk")
class TestReporter:
    def test_says_what_to_install(self, capsys: pytest.CaptureFixture[str]) -> None:
        Reporter().attacher(library("no_such_module:Acme"))(None)
        assert "calls of acme are not captured: pip install acme-instrumentation" in capsys.readouterr().err

    def test_never_keeps_a_library_from_being_imported(
        self, instrumentors: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Reporter().attach(library(f"{instrumentors}:Broken"))
        assert "calls of acme are not captured: no such method" in capsys.readouterr().err

    def test_takes_the_best_there_is(self, instrumentors: str, capsys: pytest.CaptureFixture[str]) -> None:
        Reporter().attach(library(f"{instrumentors}:Fine"))
        assert capsys.readouterr().err == ""

    def test_keeps_what_a_span_began_with(self, instrumentors: str) -> None:
        Reporter().attach(library(f"{instrumentors}:Fine"))
        [asked] = __import__(instrumentors).Fine.asked
        messages = {f"llm.input_messages.{number}.message.role": "user" for number in range(130)}
        tracer = asked["tracer_provider"].get_tracer("t")
        with tracer.start_as_current_span("chat", attributes={"llm.system": "openai"}) as span:
            span.set_attributes(messages)
        assert span.attributes["llm.system"] == "openai"


def test_calls_go_to_the_job_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COST_TRACKER_JOB_DIR", str(tmp_path / "job-1"))
    monkeypatch.setenv("COST_TRACKER_RUN", "r-1")
    call = Captured(service="openai", model="gpt-4o", usage=Usage(1000, 200))
    assert Reporter().record_captured(call) == 0.0045
    [located] = read(tmp_path / "job-1" / "cost_ledger.jsonl")
    assert isinstance(located.content, Entry)
    assert located.content.metadata == {"run": "r-1"}


def test_every_library_says_what_to_install() -> None:
    for known in LIBRARIES:
        assert known.instrumentors
        assert known.package.replace("-", "_").startswith(
            ("opentelemetry_instrumentation_", "openinference_")
        )
        assert all(place.count(":") == 1 for place in known.instrumentors)
