"""Claude Code: what a server billed is what comes in, however often a line was written or copied."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sessions_support import Imported

from shared.costs.exchange.sessions.claude_code import PROGRAM

MODEL = "claude-sonnet-4-5-20250929"
Take = Callable[..., Imported]


def line(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A line of an answer as Claude Code 2.1.332 writes it; ``usage`` and ``message`` change parts of it."""
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 200,
        "cache_read_input_tokens": 3_000,
        "output_tokens": 40,
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 200},
        "service_tier": "standard",
        "speed": "standard",
        "inference_geo": "",
    }
    message = {
        "id": f"msg_01Example{number:012d}",
        "model": MODEL,
        "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "A secret of the user."}],
        "usage": usage | changes.pop("usage", {}),
    }
    told: dict[str, Any] = {
        "type": "assistant",
        "uuid": f"u-{number}",
        "requestId": f"req_{number}",
        "timestamp": f"2026-11-20T10:{number % 60:02d}:00.000Z",
        "sessionId": "5e551011-0000-4000-8000-000000000001",
        "cwd": "/home/ana/secret-place/app",
        "version": "2.1.332",
        "isSidechain": False,
        "userType": "external",
        "message": message | changes.pop("message", {}),
    }
    return told | changes


def write(folder: Path, *lines: object, name: str = "s.jsonl", mode: str = "w") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with path.open(mode, encoding="utf-8") as file:
        file.writelines((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines)
    return path


def usages(imported: Imported) -> list[tuple[str, int, int]]:
    return [(each.kind, each.usage.tokens_input, each.usage.tokens_output) for each in imported.entries]


def test_a_recorded_history_agrees_with_its_own_sums(logs: Callable[[str], Path], take: Take) -> None:
    found = take("claude-code", logs("claude-code"))
    assert [check.stated for check in found.taken.checks] == [check.logged for check in found.taken.checks]
    assert len(found.taken.checks) == 2
    [interrupted] = [each for each in found.entries if "incomplete" in each.metadata]
    assert (interrupted.usage.tokens_output, interrupted.estimated) == (1, True)


@pytest.mark.parametrize(
    "written",
    [
        lambda one, other: f"{one}\n{chr(0) * 300}{other}\n",
        lambda one, other: f"{one}{other}\n",
        lambda one, other: f"{one}\n{other}\n".replace(
            "A secret", "A cut \\ud83d\\n, a whole \\ud83d\\ude00"
        ),
        lambda one, other: f"{one}\n{other}\n".replace("A secret", 'Braces }{\\"}{'),
        lambda one, other: f"{one}\r\n{other}".replace("A secret", "A se}{"),
    ],
    ids=["zeros before a line", "no end of a line", "half a character", "braces in a text", "at its end"],
)
def test_what_a_crash_and_a_cut_text_leave_hides_no_call(
    written: Callable[[str, str], str], tmp_path: Path, take: Take
) -> None:
    path = write(tmp_path / "logs")
    path.write_text(written(json.dumps(line(1)), json.dumps(line(2))))
    found = take("claude-code", path.parent)
    assert usages(found) == [("usage", 3_210, 40)] * 2
    assert found.taken.remarks.refused == 0


def test_tokens_that_are_written_to_the_cache_count_where_their_sum_is_not_stated(
    tmp_path: Path, take: Take
) -> None:
    written = {"ephemeral_1h_input_tokens": 30, "ephemeral_5m_input_tokens": 50}
    path = write(
        tmp_path / "logs", line(usage={"cache_creation_input_tokens": None, "cache_creation": written})
    )
    [entry] = take("claude-code", path.parent).entries
    assert (entry.usage.tokens_cache_write, entry.usage.tokens_cache_write_1h) == (80, 30)


def test_a_log_whose_answers_have_no_usage_that_is_known_is_said(tmp_path: Path, take: Take) -> None:
    path = write(tmp_path / "logs", json.dumps(line()).replace('"usage"', '"tokenUsage"'))
    assert take("claude-code", path.parent).taken.remarks.empty.total() == 1


def test_a_session_that_goes_on_is_read_on(tmp_path: Path, take: Take) -> None:
    path = write(tmp_path / "logs", line(1))
    take("claude-code", path.parent)
    write(path.parent, line(2), mode="a")
    second = take("claude-code", path.parent)
    assert (second.taken.remarks.lines, second.taken.added.calls, second.taken.again) == (1, 1, 0)
    assert len(second.entries) == 2


@pytest.mark.parametrize("change", ["cut", "rewritten", "renamed over", "gone"])
def test_what_was_taken_stays_whatever_becomes_of_the_log(change: str, tmp_path: Path, take: Take) -> None:
    path = write(tmp_path / "logs", *map(line, range(1, 6)))
    before = take("claude-code", path.parent)
    if change == "cut":
        os.truncate(path, path.read_bytes().index(b"\n") + 1)
    elif change == "rewritten":
        write(path.parent, line(3), line(9))
    elif change == "renamed over":
        write(path.parent, line(4), line(9), name="new").replace(path)
    else:
        path.unlink()
        write(path.parent, line(9), name="other.jsonl")
    after = take("claude-code", path.parent)
    assert {each.id for each in before.entries} <= {each.id for each in after.entries}
    assert len(after.entries) == (5 if change == "cut" else 6)
    assert after.taken.again == (change in ("cut", "rewritten", "renamed over"))


def test_a_log_that_is_written_over_is_read_again_though_size_and_time_say_nothing(
    tmp_path: Path, take: Take
) -> None:
    lines = [*map(line, range(1, 6))]
    path = write(tmp_path / "logs", *lines)
    before, facts = take("claude-code", path.parent), path.stat()
    write(path.parent, *lines[:2], line(9), *lines[3:])
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert path.stat().st_size == facts.st_size
    after = take("claude-code", path.parent)
    assert (len(before.entries), len(after.entries), after.taken.again) == (5, 6, 1)


def test_a_last_line_that_was_open_while_it_watched_comes_in_later(tmp_path: Path, take: Take) -> None:
    path = write(tmp_path / "logs", line(1), line(2))
    os.truncate(path, path.stat().st_size - 1)
    assert len(take("claude-code", path.parent, is_watching=True).entries) == 1
    found = take("claude-code", path.parent)
    assert (len(found.entries), found.taken.again) == (2, 0)
    assert take("claude-code", path.parent).taken.read == 0


def test_a_mark_of_the_byte_order_hides_no_line(tmp_path: Path, take: Take) -> None:
    path = write(tmp_path / "logs", f"\ufeff{json.dumps(line(1))}", line(2))
    assert len(take("claude-code", path.parent).entries) == 2
    write(path.parent, line(3), mode="a")
    assert take("claude-code", path.parent).taken.remarks.lines == 1


def test_of_lines_of_one_answer_the_largest_counts(tmp_path: Path, take: Take) -> None:
    begun = line(1, usage={"output_tokens": 2}, message={"stop_reason": None})
    found = take("claude-code", write(tmp_path / "logs", begun, line(1), begun, line(2)).parent)
    assert usages(found) == [("usage", 3_210, 40), ("usage", 3_210, 40)]


def test_an_answer_that_was_read_too_early_is_recorded_anew(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    for written in (2, 25, 40):
        write(folder, line(1, usage={"output_tokens": written}), mode="a")
        found = take("claude-code", folder)
        assert found.sums[MODEL]["tokens_output"] == written
        assert (found.sums[MODEL]["calls"], found.taken.added.grown) == (1, int(written > 2))
    write(folder, line(1, usage={"output_tokens": 25}), name="copy.jsonl")
    assert take("claude-code", folder).sums[MODEL]["tokens_output"] == 40
    assert sum(each.cost for each in found.entries) == found.entries[-1].cost


def test_copies_in_forks_and_sub_agents_are_the_call_they_copy(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    write(folder, line(1), line(2))
    write(
        folder,
        line(1, sessionId="f", requestSessionId="5e551011-0000-4000-8000-000000000001"),
        name="f.jsonl",
    )
    write(folder / "s/subagents", line(2, requestId="req_other", isSidechain=True), name="agent-a.jsonl")
    found = take("claude-code", folder)
    assert (len(found.entries), found.taken.added.known) == (2, 2)


def test_an_id_that_is_none_of_anthropics_is_one_within_its_request(tmp_path: Path, take: Take) -> None:
    short = {"id": "1", "model": "glm-4.6"}
    lines = [line(1, message=short), line(2, message=short), line(2, message=short)]
    found = take("claude-code", write(tmp_path / "logs", *lines).parent)
    assert len(found.entries) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"usage": {"speed": "fast"}}, {"service_tier": "fast"}),
        ({"usage": {"service_tier": "priority"}}, {"service_tier": "priority"}),
        ({"usage": {"inference_geo": "us"}}, {"region": "us"}),
        ({"usage": {"inference_geo": "global"}}, {"region": None}),
        ({"message": {"id": "msg_bdrk_0123456789abcdef"}}, {"service": "bedrock"}),
        ({"message": {"id": "msg_vrtx_0123456789abcdef"}}, {"service": "vertex"}),
        ({"isSidechain": True, "attributionAgent": "Explore"}, {"operation": "subagent"}),
        ({}, {"service": "anthropic", "service_tier": None, "operation": None, "project": "app"}),
        ({"usage": {"input_tokens": None}}, {"estimated": False}),
    ],
)
def test_what_a_line_says_of_its_call(
    changes: dict[str, Any], expected: dict[str, Any], tmp_path: Path, take: Take
) -> None:
    [found] = take("claude-code", write(tmp_path / "logs", line(1, **changes)).parent).entries
    assert {name: getattr(found, name) for name in expected} == expected


def test_one_hour_writes_searches_and_thoughts_are_counted(tmp_path: Path, take: Take) -> None:
    usage = {
        "cache_creation": {"ephemeral_1h_input_tokens": 150, "ephemeral_5m_input_tokens": 50},
        "server_tool_use": {"web_search_requests": 3},
        "output_tokens_details": {"thinking_tokens": 30},
    }
    [found] = take("claude-code", write(tmp_path / "logs", line(1, usage=usage)).parent).entries
    used = found.usage
    assert (used.tokens_cache_write, used.tokens_cache_write_1h) == (200, 150)
    assert (used.web_searches, used.tokens_reasoning) == (3, 30)


def test_steps_of_an_adviser_are_calls_of_their_own(tmp_path: Path, take: Take) -> None:
    step = {"type": "advisor_message", "model": "claude-opus-4-5", "input_tokens": 7, "output_tokens": 9}
    usage = {"iterations": [{"type": "message", "input_tokens": 10, "output_tokens": 40}, step]}
    found = take("claude-code", write(tmp_path / "logs", line(1, usage=usage)).parent)
    assert {each.model: each.usage.tokens_output for each in found.entries} == {
        MODEL: 40,
        "claude-opus-4-5": 9,
    }


def test_nothing_that_was_said_is_copied(tmp_path: Path, take: Take, storage: Any) -> None:
    take("claude-code", write(tmp_path / "logs", line(1), {"type": "user", "message": "A secret"}).parent)
    for path in storage.root.rglob("*"):
        if path.is_file():
            assert b"secret" not in path.read_bytes().replace(str(tmp_path).encode(), b"")


def test_what_is_not_understood_is_told(tmp_path: Path, take: Take) -> None:
    lines = [
        line(1, version="3.0.1"),
        line(2, timestamp="yesterday"),
        line(3, usage={"output_tokens": "many"}),
        '{"type": "assistant", "usage": ',
        {"type": "surprise", "message": {"usage": {}}},
        {"type": "user", "toolUseResult": {"usage": {"output_tokens": 9}}},
        line(4, message={"model": "<synthetic>"}),
        '{"type": "user", "message": {"content": "unended',
    ]
    path = write(tmp_path / "logs", *lines)
    path.write_bytes(path.read_bytes()[:-1])
    found = take("claude-code", path.parent)
    assert len(found.entries) == 1
    assert found.taken.remarks.refused == 3
    assert dict(found.taken.remarks.versions) == {"3.0.1": 1}
    assert dict(found.taken.remarks.unknown) == {
        'lines of type "surprise" with a usage': 1,
        "last lines that are cut off: they are read once they are whole": 1,
    }


def test_a_folder_whose_name_is_no_text_is_read_and_read_on(tmp_path: Path, take: Take) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/logs-\xff"))
    for number in (1, 2):
        write(folder, line(number), mode="a")
        found = take("claude-code", folder)
    assert (len(found.entries), found.taken.remarks.lines, found.taken.again) == (2, 1, 0)


def test_its_own_sums_are_shown_beside_and_never_added(tmp_path: Path, take: Take) -> None:
    counts = {
        "inputTokens": 10,
        "outputTokens": 45,
        "cacheReadInputTokens": 3_000,
        "cacheCreationInputTokens": 200,
    }
    state = {"type": "cost-state", "sessionId": "s", "modelUsage": {MODEL: counts}}
    found = take("claude-code", write(tmp_path / "logs", line(1), state).parent)
    [check] = found.taken.checks
    assert (check.stated[MODEL]["output"], check.logged[MODEL]["output"]) == (45, 40)
    assert found.sums[MODEL]["tokens_output"] == 40


def test_two_lines_of_an_answer_in_two_imports_are_summed_once(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    for _ in range(2):
        write(folder, line(1), mode="a")
        take("claude-code", folder)
    counts = {
        "inputTokens": 10,
        "outputTokens": 40,
        "cacheReadInputTokens": 3_000,
        "cacheCreationInputTokens": 200,
    }
    write(folder, {"type": "cost-state", "sessionId": "s", "modelUsage": {MODEL: counts}}, mode="a")
    [check] = take("claude-code", folder).taken.checks
    assert check.stated == check.logged


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ["home/.claude/projects", "home/.config/claude/projects"]),
        ({"XDG_CONFIG_HOME": "xdg"}, ["home/.claude/projects", "xdg/claude/projects"]),
        ({"CLAUDE_CONFIG_DIR": "a, b"}, ["a/projects", "b/projects"]),
    ],
)
def test_the_usual_places(environ: dict[str, str], expected: list[str]) -> None:
    assert PROGRAM.places(Path("home"), environ) == [Path(each) for each in expected]


def test_a_last_line_that_is_cut_off_is_said_and_read_once_it_is_whole(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    text = "".join(json.dumps(line(number)) + "\n" for number in (1, 2))
    for end, calls, said in ((-300, 1, 1), (-1, 2, 0), (None, 2, 0)):
        write(folder)
        (folder / "s.jsonl").write_text(text[:end])
        found = take("claude-code", folder)
        assert (len(found.entries), found.taken.remarks.unknown.total()) == (calls, said)
    (folder / "s.jsonl").write_text(text[:-300])
    watched = take("claude-code", folder, is_watching=True)
    assert (watched.taken.again, watched.taken.remarks.unknown) == (1, {})  # it may be being written
