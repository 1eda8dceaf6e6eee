"""Reports that are fetched: by the SDKs themselves, from servers of this machine, page by page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import synthetic_bills as bills
from pytest_httpserver import HTTPServer
from synthetic_bills import DAYS, START, plant, recorded, world
from werkzeug import Request, Response

from shared.costs.apps.cli.program import run
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.storage import CostStorage

PAGE_DAYS = 5


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture
def asked(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> Iterator[list[Request]]:
    """A storage with calls of both services, and servers that answer for them; gives what they were asked."""
    storage = CostStorage(tmp_path / "storage")
    seen: list[Request] = []
    for service in ("openai", "anthropic"):
        of = plant(world(service))
        recorded(of, CostStorage(tmp_path / service), catalogue).close()
    monkeypatch.setenv("COST_TRACKER_HOME", str(storage.root))
    monkeypatch.setenv("OPENAI_BASE_URL", httpserver.url_for("/v1"))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", httpserver.url_for(""))
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_ADMIN_KEY", raising=False)
    _serve_openai(httpserver, catalogue, seen)
    _serve_anthropic(httpserver, catalogue, seen)
    yield seen
    httpserver.check_assertions()


def _pages(
    rows: list[tuple[datetime, dict[str, Any]]], request: Request, start: datetime, after: datetime
) -> tuple[list[tuple[datetime, list[dict[str, Any]]]], str | None]:
    days = bills.by_day(rows)
    wanted = [day for day in days if start <= day < after]
    first = int(request.args.get("page") or 0)
    some = wanted[first : first + PAGE_DAYS]
    more = str(first + PAGE_DAYS) if first + PAGE_DAYS < len(wanted) else None
    return [(day, days[day]) for day in some], more


def _serve_openai(server: HTTPServer, catalogue: Catalogue, seen: list[Request]) -> None:
    of = plant(world("openai"))
    reports = {
        "usage/completions": bills.openai_usage_rows(of, catalogue),
        "usage/embeddings": [],
        "costs": bills.openai_cost_rows(of, catalogue),
    }
    for path, rows in reports.items():

        def answer(request: Request, rows: list[tuple[datetime, dict[str, Any]]] = rows) -> Response:
            seen.append(request)
            start, after = (
                datetime.fromtimestamp(int(request.args[name]), UTC) for name in ("start_time", "end_time")
            )
            some, more = _pages(rows, request, start, after)
            data = [
                {
                    "object": "bucket",
                    "start_time": int(day.timestamp()),
                    "end_time": int((day + timedelta(days=1)).timestamp()),
                    "results": results,
                }
                for day, results in some
            ]
            page = {"object": "page", "data": data, "has_more": more is not None, "next_page": more}
            return Response(json.dumps(page, indent=2), content_type="application/json")

        server.expect_request(f"/v1/organization/{path}").respond_with_handler(answer)


def _serve_anthropic(server: HTTPServer, catalogue: Catalogue, seen: list[Request]) -> None:
    of = plant(world("anthropic"))
    reports = {
        "usage_report": bills.anthropic_usage_rows(of, catalogue),
        "cost_report": bills.anthropic_cost_rows(of, catalogue),
    }
    for path, rows in reports.items():

        def answer(request: Request, rows: list[tuple[datetime, dict[str, Any]]] = rows) -> Response:
            seen.append(request)
            start, after = (
                datetime.fromisoformat(request.args[name]) for name in ("starting_at", "ending_at")
            )
            some, more = _pages(rows, request, start, after)
            data = [
                {
                    "starting_at": day.isoformat(),
                    "ending_at": (day + timedelta(days=1)).isoformat(),
                    "results": [
                        {"list_amount": row.get("amount"), **row, "service_tier": None} for row in results
                    ],
                }
                for day, results in some
            ]
            return Response(json.dumps({"data": data, "next_page": more}), content_type="application/json")

        server.expect_request(f"/v1/organizations/analytics/{path}").respond_with_handler(answer)


SPAN = ("--since", f"{START:%Y-%m-%d}", "--until", f"{START + timedelta(days=DAYS - 1):%Y-%m-%d}")


@pytest.mark.parametrize(("service", "requests"), [("openai", 9), ("anthropic", 6)])
def test_a_service_is_asked_page_by_page(
    service: str,
    requests: int,
    asked: list[Request],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(f"{service.upper()}_ADMIN_KEY", "sk-admin-0123456789abcdefghij")
    assert (
        run(["reconcile", "--fetch", service, *SPAN, "--cost-storage", str(tmp_path / service), "--json"])
        == 1
    )
    told = json.loads(capsys.readouterr().out)
    named = {one["reason"] for one in told["differences"]}
    assert {"not_recorded", "recorded_twice", "tools", "retry", "cache"} <= named
    assert told["incomplete"] == []
    assert told["not_understood"]["count"] == 0
    days = 3  # pages of five days each
    assert len(asked) == requests == days * (3 if service == "openai" else 2)
    assert {request.args.get("page") for request in asked} == {None, "5", "10"}
    keys = {request.headers.get("Authorization") or request.headers.get("X-Api-Key") for request in asked}
    assert keys <= {"Bearer sk-admin-0123456789abcdefghij", "sk-admin-0123456789abcdefghij"}


def test_nothing_is_sent_unless_it_is_asked_for(
    asked: list[Request], tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-0123456789abcdefghij")
    of = plant(world("openai"))
    path = tmp_path / "costs.json"
    path.write_text(bills.openai_page(bills.openai_cost_rows(of, catalogue)))
    assert run(["reconcile", str(path), "--cost-storage", str(tmp_path / "openai")]) == 1
    assert asked == []


def test_what_cannot_be_fetched_is_said_without_the_key(
    asked: list[Request],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    httpserver: HTTPServer,
) -> None:
    assert run(["reconcile", "--fetch", "openai"]) == 3
    assert "OPENAI_ADMIN_KEY is not set" in capsys.readouterr().err
    key = "sk-admin-0123456789abcdefghij"
    monkeypatch.setenv("ANTHROPIC_ADMIN_KEY", key)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", httpserver.url_for("/nowhere"))
    httpserver.expect_request("/nowhere/v1/organizations/analytics/usage_report").respond_with_json(
        {"type": "error", "error": {"type": "authentication_error", "message": f"invalid x-api-key {key}"}},
        status=401,
    )
    assert run(["reconcile", "--fetch", "anthropic"]) == 3
    said = capsys.readouterr().err
    assert "did not answer as expected" in said
    assert key not in said
    assert asked == []


DAY = datetime(2026, 11, 3, tzinfo=UTC)
EMPTY: dict[str, dict[str, Any]] = {
    "openai": {
        "object": "bucket",
        "start_time": int(DAY.timestamp()),
        "end_time": int(DAY.timestamp()) + 86_400,
    },
    "anthropic": {"starting_at": DAY.isoformat(), "ending_at": (DAY + timedelta(days=1)).isoformat()},
}
ANSWERS: dict[str, tuple[list[int], str, int]] = {
    "too many requests, then an answer": ([429, 200], "it has no line to compare", 3),
    "a fault of the server, then an answer": ([500, 503, 200], "it has no line to compare", 3),
    "too many requests throughout": ([429], "RateLimitError", 3),
    "a fault throughout": ([500], "InternalServerError", 3),
    "a key that has expired": ([401], "AuthenticationError", 3),
    "a key of a member": ([403], "PermissionDeniedError", 3),
    "one page again and again": ([200, -1], "again and again: nothing was compared", 3),
}


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize("service", ["openai", "anthropic"])
def test_what_a_service_answers_is_asked_again_or_said(
    service: str,
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    httpserver: HTTPServer,
) -> None:
    statuses, complaint, code = ANSWERS[case]
    left = list(statuses)

    def answer(_request: Request) -> Response:
        status = left.pop(0) if len(left) > 1 else left[0]
        more = "again" if -1 in statuses else None
        page = {"data": [EMPTY[service] | {"results": []}], "has_more": more is not None, "next_page": more}
        said = (
            page
            if status in (200, -1)
            else {"error": {"type": "e", "message": "sk-admin-0123456789abcdefghij"}}
        )
        headers = {"retry-after-ms": "1", "retry-after": "0"}
        return Response(
            json.dumps(said), status if status > 0 else 200, headers, content_type="application/json"
        )

    httpserver.expect_request(re.compile("/loop/.*")).respond_with_handler(answer)
    base = "/loop/v1" if service == "openai" else "/loop"
    monkeypatch.setenv(f"{service.upper()}_BASE_URL", httpserver.url_for(base))
    monkeypatch.setenv(f"{service.upper()}_ADMIN_KEY", "sk-admin-0123456789abcdefghij")
    words = ["reconcile", "--fetch", service, "--since", "2026-11-03", "--until", "2026-11-03"]
    assert run([*words, "--cost-storage", str(tmp_path / "empty")]) == code
    said = " ".join("".join(capsys.readouterr()).split())
    assert complaint in said
    assert "sk-admin" not in said
