"""Each program's recording of a real run: what its server billed is what comes in, in whatever steps."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sessions_support import Imported, summed
from zstandard import ZstdCompressor

from shared.costs.exchange.sessions import programs, recognised, usual_files
from shared.costs.exchange.sessions.codex import _service as codex_service
from tests.support.agents.recordings import FOLDER, anonymised

NAMES = sorted(programs())
Take = Callable[..., Imported]


def billed(program: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads((FOLDER / f"{program}.json").read_text())
    return found


@pytest.mark.parametrize("program", NAMES)
def test_a_recording_is_what_was_billed(program: str, logs: Callable[[str], Path], take: Take) -> None:
    folder = logs(program)
    dry = take(program, folder, dry_run=True)
    assert (dry.entries, dry.taken.added.calls) == (
        [],
        sum(each["calls"] for each in billed(program).values()),
    )
    first = take(program, folder)
    assert first.sums == billed(program)
    assert (first.taken.remarks.refused, first.taken.remarks.unknown, first.taken.remarks.versions) == (
        0,
        {},
        {},
    )
    for check in first.taken.checks:
        assert check.logged  # what an interrupted answer cost is in the program's own sums alone
    again = take(program, folder)
    assert (again.taken.read, again.taken.added.seen) == (0, 0)


@pytest.mark.parametrize("program", [name for name in NAMES if name != "opencode"])
def test_a_log_that_grows_line_by_line_comes_to_the_same(
    program: str, logs: Callable[[str], Path], take: Take, tmp_path: Path
) -> None:
    folder, growing = logs(program), tmp_path / "growing"
    for step in (3, 2, 1):
        for path in folder.rglob("*.jsonl"):
            lines = path.read_bytes().splitlines(keepends=True)
            target = growing / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            written = target.read_bytes() if target.exists() else b""
            whole = b"".join(lines[: len(lines) // step])
            with target.open("ab") as file:
                file.write(whole[len(written) :])
        found = take(program, growing, is_watching=True)
    assert found.sums == billed(program)
    assert found.taken.again == 0


COUNTED_IN = {
    "claude-code": ("usage",),
    "codex": ("usage", "last_token_usage"),
    "copilot-cli": ("usage",),
    "gemini-cli": ("tokens",),
}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize("program", [name for name in NAMES if name != "opencode"])
def test_logs_that_a_shell_wrote_in_utf_16_are_the_logs_they_were(
    program: str, encoding: str, logs: Callable[[str], Path], take: Take
) -> None:
    folder = logs(program)
    for path in folder.rglob("*.jsonl"):
        path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    found = take(program, folder)
    assert (found.sums, found.taken.remarks.refused) == (billed(program), 0)
    path = next(folder.rglob("*.jsonl"))
    assert recognised(path, NAMES) is programs()[program]


@pytest.mark.parametrize("pack", [gzip.compress, ZstdCompressor().compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("program", [name for name in NAMES if name != "opencode"])
def test_logs_that_are_packed_are_the_logs_they_were(
    program: str, pack: Callable[[bytes], bytes], logs: Callable[[str], Path], take: Take, tmp_path: Path
) -> None:
    ending, folder = ".gz" if pack is gzip.compress else ".zst", logs(program)
    plain = tmp_path / "plain"
    shutil.copytree(folder, plain)
    for path in folder.rglob("*.jsonl"):
        begin, end = path.read_bytes().split(b"\n", 1)
        path.with_name(path.name + ending).write_bytes(pack(begin + b"\n") + pack(end))
        path.unlink()
    assert take(program, folder).sums == billed(program)
    assert take(program, plain).sums == billed(program)
    # What is packed once it was taken in is the log it was.
    for path in plain.rglob("*.jsonl"):
        path.with_name(path.name + ending).write_bytes(pack(path.read_bytes()))
        path.unlink()
    again = take(program, plain)
    assert (again.sums, again.taken.remarks.refused) == (billed(program), 0)


def test_zeros_between_and_behind_what_gzip_packed_say_nothing(
    logs: Callable[[str], Path], take: Take
) -> None:
    folder = logs("codex")
    for path in folder.rglob("*.jsonl"):
        begin, end = path.read_bytes().split(b"\n", 1)
        packed = gzip.compress(begin + b"\n") + bytes(512) + gzip.compress(end) + bytes(3 << 20)
        path.with_name(path.name + ".gz").write_bytes(packed)
        path.unlink()
    again = take("codex", folder)
    assert (again.sums, again.taken.remarks.refused) == (billed("codex"), 0)


def test_a_packed_log_that_is_cut_off_or_damaged_is_refused(
    take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, packed = tmp_path / "rollout-1.jsonl.zst", ZstdCompressor().compress(b"{}\n" * 10_000)
    for content, why in ((packed[:-5], "is cut off"), (packed[:4] + b"\xff" * 40, "is damaged")):
        log.write_bytes(content)
        assert why in take("codex", tmp_path).taken.remarks.refusals[0].why
    log.write_bytes(packed)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert "pip install" in take("codex", tmp_path).taken.remarks.refusals[0].why


@pytest.mark.parametrize("known", [True, False], ids=["beside", "instead"])
@pytest.mark.parametrize("program", COUNTED_IN)
def test_what_a_later_version_counts_is_not_left_out_silently(
    program: str, known: bool, logs: Callable[[str], Path], take: Take
) -> None:
    folder = logs(program)
    places = rf'"({"|".join(COUNTED_IN[program])})":{{'
    for path in folder.rglob("*.jsonl"):
        text = path.read_text()
        if known:
            path.write_text(re.sub(places, r'"\1":{"video_tokens":40,', text))
        else:
            path.write_text(
                re.sub(r'"(\w*[tT]okens|input|output|cached|thoughts|tool|total)":(?=\d)', r'"\1_v9":', text)
            )
    taken, entries, _ = take(program, folder)
    priced = [one for one in entries if one.charge is not None and one.kind == "usage"]
    assert bool(priced) == known
    assert all(one.unpriced_units.get("video_tokens") == 40 for one in priced)
    assert known or any("counts nothing that is known" in each.why for each in taken.remarks.refusals)


def test_a_number_among_nothing_but_counts_is_one_whatever_it_is_called(
    logs: Callable[[str], Path], take: Take
) -> None:
    folder = logs("gemini-cli")
    for path in folder.rglob("*.jsonl"):
        path.write_text(path.read_text().replace('"tokens":{', '"tokens":{"audio":40,'))
    _, entries, _ = take("gemini-cli", folder)
    assert entries
    assert all(one.unpriced_units == {"audio": 40} for one in entries if one.charge is not None)


def test_what_copilot_sums_up_at_the_end_of_a_run_is_not_left_out_silently(
    logs: Callable[[str], Path], take: Take
) -> None:
    folder = logs("copilot-cli")
    for path in folder.rglob("*.jsonl"):
        lines = [line for line in path.read_text().splitlines() if "session.usage_record" not in line]
        text = "\n".join([*lines, ""]).replace("gpt-5.1", "gpt-4o")
        path.write_text(text.replace('"usage":{', '"usage":{"videoTokens":40,'))
    _, entries, _ = take("copilot-cli", folder)
    # One session was ended twice, and states 40 of the whole both times.
    assert [one.unpriced_units for one in entries] == [{"video_tokens": 40}, {}]


@pytest.mark.parametrize(
    ("folder", "before", "unit"),
    [
        ("usage", '"inputTokens":', "videoTokens"),
        ("projects", '"input_token_count":', "video_token_count"),
        ("projects", '"promptTokenCount":', "videoTokenCount"),
    ],
)
def test_what_a_later_qwen_counts_is_a_unit_without_a_price(
    folder: str, before: str, unit: str, logs: Callable[[str], Path], take: Take
) -> None:
    root, others = logs("qwen-code"), ("uiEvent", "x") if unit == "videoTokenCount" else ("", "")
    if folder == "projects":
        shutil.rmtree(root / "usage")
    for path in (root / folder).rglob("*.jsonl"):
        text = path.read_text().replace("qwen3-coder-plus", "gpt-4o").replace(*others)
        path.write_text(text.replace(before, f'"{unit}":40,{before}'))
    _, entries, _ = take("qwen-code", root / folder)
    expected = {re.sub("(?=[A-Z])", "_", unit).lower(): 40}
    assert entries
    assert all(one.unpriced_units == expected for one in entries)


@pytest.mark.parametrize("program", NAMES)
def test_a_log_is_known_by_what_it_says(program: str) -> None:
    for path in (FOLDER / program).rglob("*"):
        if path.is_file():
            known = recognised(path, NAMES)
            assert known is not None, path
            assert known.name == program, path


@pytest.mark.parametrize("program", NAMES)
def test_logs_are_found_in_their_usual_places(program: str, tmp_path: Path) -> None:
    source = next(
        path for path in sorted((FOLDER / program).rglob("*.*")) if programs()[program].is_log(path)
    )
    place = programs()[program].places(tmp_path, {})[-1]
    target = place / source.relative_to(FOLDER / program).name
    if program in ("gemini-cli", "qwen-code"):
        target = place / "p" / "chats" / source.name
    target.parent.mkdir(parents=True)
    target.write_bytes(source.read_bytes())
    assert [each.path for each in usual_files([program], tmp_path, {})] == [target]


def test_recordings_have_no_texts() -> None:
    assert anonymised({"content": "said", "model": "m", "usage": {"n": 1}}) == {
        "content": "...",
        "model": "m",
        "usage": {"n": 1},
    }


# --- Codex before each answer had a line of its own


def meta(thread: str, **more: object) -> dict[str, Any]:
    return {
        "type": "session_meta",
        "timestamp": AT,
        "payload": {"id": thread, "cli_version": "0.98.0", **more},
    }


def turn(model: str = "gpt-5") -> dict[str, Any]:
    return {"type": "turn_context", "timestamp": AT, "payload": {"model": model}}


def counter(total: int, last: int | None, at: str = "") -> dict[str, Any]:
    def tokens(count: int) -> dict[str, int]:
        return {
            "input_tokens": count,
            "cached_input_tokens": count // 2,
            "output_tokens": 1,
            "total_tokens": count,
        }

    info: dict[str, Any] = {"total_token_usage": tokens(total)}
    if last is not None:
        info["last_token_usage"] = tokens(last)
    return {"type": "event_msg", "timestamp": at or AT, "payload": {"type": "token_count", "info": info}}


AT = "2026-02-01T10:00:00.000Z"
EMPTY = {"type": "event_msg", "timestamp": AT, "payload": {"type": "token_count", "info": None}}


def write(path: Path, *lines: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("lines", "inputs"),
    [
        ([counter(100, 100), counter(100, 100), EMPTY, counter(250, 150)], [100, 150]),
        ([counter(900, 100)], [100]),
        ([counter(100, None), counter(250, None)], [100, 150]),
        ([counter(100, 100), counter(100, 0)], [100]),
        (
            [counter(100, None), counter(250, None), counter(80, None), counter(300, None)],
            [80, 100, 150, 220],
        ),
        ([counter(100, None), counter(250, None)] * 2 + [counter(400, None)], [100, 150, 150]),
        ([counter(100, 100), counter(250, 150), counter(80, 80), counter(300, 220)], [80, 100, 150, 220]),
    ],
    ids=[
        *("repeated", "begins with its parent's total", "totals alone", "after a compaction"),
        *("totals alone that begin anew", "totals alone that are replayed", "totals that begin anew"),
    ],
)
def test_codex_counters_are_answers_where_their_total_is_another_one(
    lines: list[dict[str, Any]], inputs: list[int], tmp_path: Path, take: Take
) -> None:
    write(tmp_path / "logs" / "rollout-1.jsonl", meta("a"), turn(), *lines)
    found = take("codex", tmp_path / "logs")
    assert sorted(each.usage.tokens_input for each in found.entries) == inputs


@pytest.mark.parametrize(
    "head",
    [
        meta("b", forked_from_id="a"),
        meta("b", parent_thread_id="a"),
        meta("b", source={"subagent": {"thread_spawn": {"parent_thread_id": "a"}}}),
    ],
    ids=["fork", "sub-agent", "older sub-agent"],
)
def test_codex_lines_that_repeat_the_parents_count_once(
    head: dict[str, Any], tmp_path: Path, take: Take
) -> None:
    folder = tmp_path / "logs"
    write(folder / "rollout-1.jsonl", meta("a"), turn(), counter(100, 100), counter(250, 150))
    replay = [counter(100, 100, "2026-02-01T11:00:00.000Z"), counter(250, 150, "2026-02-01T11:00:00.000Z")]
    write(folder / "rollout-2.jsonl", head, turn(), *replay, counter(450, 200))
    write(folder / "rollout-3.jsonl", meta("c", forked_from_id="b"), head, meta("a"), turn(), *replay)
    found = take("codex", folder)
    assert sorted(each.usage.tokens_input for each in found.entries) == [100, 150, 200]


def test_codex_tiers_models_and_providers_are_those_of_the_request(tmp_path: Path, take: Take) -> None:
    def settings(tier: str | None) -> dict[str, Any]:
        told = {"model": "gpt-5.1", "service_tier": tier, "model_provider_id": "openai"}
        payload = {"type": "thread_settings_applied", "thread_settings": told}
        return {"type": "event_msg", "timestamp": AT, "payload": payload}

    lines = [settings("fast"), counter(1, 1), settings("flex"), counter(3, 2), settings(None), counter(6, 3)]
    write(tmp_path / "logs" / "rollout-1.jsonl", meta("a"), counter(0, 0), *lines)
    found = take("codex", tmp_path / "logs")
    tiers = {each.usage.tokens_input: each.service_tier for each in found.entries}
    assert {count: tiers[count] for count in (1, 2, 3)} == {1: "priority", 2: "flex", 3: None}
    assert codex_service("azure", "gpt-5") == "azure"
    assert codex_service("my-proxy", "gpt-5") == "openai"
    assert codex_service("my-proxy", "our-own") == "my-proxy"


@pytest.mark.parametrize("provider", ["ollama", "oss", "ollama-chat", "lmstudio"])
def test_what_codex_runs_on_the_users_own_machine_costs_nothing(
    provider: str, tmp_path: Path, take: Take
) -> None:
    lines = meta("a", model_provider=provider), turn("openai/gpt-oss-20b"), counter(1_000, 1_000)
    write(tmp_path / "logs" / "rollout-1.jsonl", *lines)
    [entry] = take("codex", tmp_path / "logs").entries
    assert entry.charge is not None
    assert (entry.cost, entry.charge.priced_by.source) == (0, "catalogue")


# --- Gemini CLI before it wrote lines


def test_a_gemini_document_is_a_session(tmp_path: Path, take: Take) -> None:
    tokens = {"input": 100, "output": 10, "cached": 40, "thoughts": 5, "tool": 7, "total": 122}
    answer = {
        "id": "0123456789abcdef",
        "type": "gemini",
        "timestamp": AT,
        "model": "gemini-2.5-pro",
        "tokens": tokens,
    }
    broken = answer | {"id": "fedcba9876543210", "tokens": {"input": -1}}
    document = {"sessionId": "s", "projectHash": "p", "messages": [{"type": "user"}, answer, broken, 7]}
    folder = tmp_path / "logs"
    path = folder / "p" / "chats" / "session-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document, indent=2))
    (path.parent / "session-2.json").write_text("[]")
    found = take("gemini-cli", folder)
    [entry] = found.entries
    assert (entry.usage.tokens_input, entry.usage.tokens_output, entry.usage.tokens_reasoning) == (107, 15, 5)
    assert found.taken.remarks.refused == 3
    known = recognised(path, NAMES)
    assert known is not None
    assert known.name == "gemini-cli"


# --- Qwen Code before its usage file


def chat(number: int, **more: Any) -> dict[str, Any]:
    return {
        "uuid": f"{number:032d}",
        "sessionId": "s",
        "timestamp": AT,
        "type": "assistant",
        "cwd": "/x",
        **more,
    }


@pytest.mark.parametrize(
    ("counts", "output"),
    [
        ({"candidatesTokenCount": 100, "thoughtsTokenCount": 40, "totalTokenCount": 1_100}, 100),
        ({"candidatesTokenCount": 100, "thoughtsTokenCount": 40, "totalTokenCount": 1_140}, 140),
        ({"candidatesTokenCount": 100, "thoughtsTokenCount": 40}, 100),
    ],
    ids=["inside", "beside", "no total"],
)
def test_qwens_thoughts_are_in_its_output_or_beside_it(
    counts: dict[str, int], output: int, tmp_path: Path, take: Take
) -> None:
    line = chat(1, model="qwen3-max", usageMetadata={"promptTokenCount": 1_000, **counts})
    write(tmp_path / "logs" / "p" / "chats" / "s.jsonl", line)
    [entry] = take("qwen-code", tmp_path / "logs").entries
    assert (entry.usage.tokens_output, entry.usage.tokens_reasoning) == (output, 40)


def test_qwens_usage_file_counts_from_its_first_line_of_a_session_on(tmp_path: Path, take: Take) -> None:
    def answer(number: int, at: str) -> dict[str, Any]:
        metadata = {"promptTokenCount": number, "candidatesTokenCount": 1}
        return chat(number, model="qwen3-max", usageMetadata=metadata) | {"timestamp": at}

    folder = tmp_path / "logs"
    write(
        folder / "p" / "chats" / "s.jsonl",
        answer(1, "2026-11-01T10:00:00Z"),
        answer(2, "2026-11-01T11:00:00Z"),
    )
    usage = {"schemaVersion": 2, "id": "u", "sessionId": "s", "model": "qwen3-max", "authType": "gemini"}
    line = usage | {
        "timestamp": "2026-11-01T10:59:59.999Z",
        "inputTokens": 2,
        "outputTokens": 1,
        "totalTokens": 3,
    }
    path = write(folder / "usage" / "token-usage-2026-11.jsonl", line, {"inputTokens": "many"})
    path.write_text(path.read_text() + '{"inputTokens": \n')
    found = take("qwen-code", folder)
    assert sorted(each.usage.tokens_input for each in found.entries) == [1, 2]
    assert dict(found.taken.remarks.versions) == {"usage schema 2": 1}
    assert found.taken.remarks.refused == 2


# --- OpenCode


def message(**more: Any) -> dict[str, Any]:
    tokens = {"input": 10, "output": 5, "reasoning": 2, "cache": {"read": 100, "write": 20}}
    time = {"created": 1_790_000_000_000, "completed": 1_790_000_001_000}
    about = {"role": "assistant", "modelID": "gpt-5.1", "providerID": "openai", "sessionID": "ses_1"}
    return about | {"tokens": tokens, "time": time, "cost": 0.5, "path": {"cwd": "/home/ana/app"}} | more


@pytest.mark.parametrize(
    ("change", "calls"),
    [
        ({}, 1),
        ({"role": "user"}, 0),
        ({"time": {"created": 1_790_000_000_000}}, 0),
        ({"tokens": {}, "cost": 0}, 0),
        ({"tokens": None}, 0),
    ],
)
def test_opencodes_messages_in_files(change: dict[str, Any], calls: int, tmp_path: Path, take: Take) -> None:
    write(tmp_path / "logs" / "message" / "ses_1" / "msg_1.json", message(**change))
    assert len(take("opencode", tmp_path / "logs").entries) == calls


def test_opencodes_costs_are_its_own_and_no_cost_is_none(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs" / "message" / "ses_1"
    write(folder / "msg_1.json", message())
    write(folder / "msg_2.json", message(cost=0, time={"created": 1, "completed": 2}))
    write(folder / "msg_3.json", message(cost=-1, time={"created": 3, "completed": 4}))
    write(folder / "msg_4.json", message(cost=None, time={"created": 5, "completed": 6}, providerID="my-own"))
    found = take("opencode", tmp_path / "logs")
    entries = {each.timestamp.timestamp(): each for each in found.entries}
    stated, zero, own = entries[1_790_000_000.0], entries[0.001], entries[0.005]
    assert (stated.cost, stated.estimated, stated.charge and stated.charge.priced_by.source) == (
        5 * 10**8,
        True,
        "stated",
    )
    assert stated.catalogue_cost is not None
    assert (zero.estimated, zero.cost_state, found.taken.added.zero_stated) == (False, zero.cost_state, 1)
    assert (own.service, own.charge) == ("my-own", None)
    assert found.taken.remarks.refused == 1
    assert found.taken.added.unpriced_models.get("my-own/gpt-5.1") == 1


def test_opencodes_database_is_read_on_from_its_last_change(logs: Callable[[str], Path], take: Take) -> None:
    folder = logs("opencode")
    before = take("opencode", folder)
    with closing(sqlite3.connect(folder / "opencode.db")) as database:
        new = json.dumps(message(time={"created": 1_890_000_000_000, "completed": 1_890_000_001_000}))
        database.execute("INSERT INTO message VALUES ('m', 's', 1890000000000, 1890000001000, ?)", (new,))
        database.execute("INSERT INTO message VALUES ('n', 's', 1890000000000, 1890000001000, '{')")
        database.commit()
    after = take("opencode", folder)
    assert (after.taken.added.calls, after.taken.remarks.refused) == (1, 1)
    assert after.taken.remarks.lines < before.taken.remarks.lines + 2  # from a minute before the last change
    assert len(after.entries) == len(before.entries) + 1


def test_a_damaged_database_is_refused(tmp_path: Path, take: Take) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "opencode.db").write_bytes(b"SQLite format 3\0" + b"x" * 5_000)
    found = take("opencode", folder)
    assert "cannot be read as OpenCode's database" in found.taken.remarks.refusals[0].why


# --- Copilot CLI before each answer had a line of its own


def shutdown(number: int, requests: int, tokens: int) -> dict[str, Any]:
    usage = {"inputTokens": tokens, "outputTokens": tokens // 10, "cacheReadTokens": tokens // 2}
    metrics = {"gpt-5.1": {"requests": {"count": requests}, "usage": usage}}
    return {
        "type": "session.shutdown",
        "id": f"{number:032d}",
        "timestamp": AT,
        "data": {"modelMetrics": metrics},
    }


@pytest.mark.parametrize(
    ("ends", "inputs", "calls"),
    [([(2, 1_000), (5, 1_800)], [800, 1_000], 5), ([(2, 1_000), (1, 300)], [300, 1_000], 3)],
    ids=["goes on", "begins anew"],
)
def test_copilots_sums_contain_the_runs_before(
    ends: list[tuple[int, int]], inputs: list[int], calls: int, tmp_path: Path, take: Take
) -> None:
    start = {
        "type": "session.start",
        "timestamp": AT,
        "data": {"sessionId": "s", "copilotVersion": "0.0.400"},
    }
    lines = [shutdown(number, *each) for number, each in enumerate(ends)]
    write(tmp_path / "logs" / "s" / "events.jsonl", start, *lines, {"type": "session.shutdown", "data": 7})
    found = take("copilot-cli", tmp_path / "logs")
    assert sorted(each.usage.tokens_input for each in found.entries) == inputs
    assert summed(found.entries)["gpt-5.1"]["calls"] == calls
    assert {each.service for each in found.entries} == {"github-copilot"}
    assert found.taken.remarks.refused == 1


def test_a_copilot_session_that_was_killed_has_nothing_and_that_is_said(tmp_path: Path, take: Take) -> None:
    start = {"type": "session.start", "timestamp": AT, "data": {"sessionId": "s", "copilotVersion": "9.0"}}
    write(tmp_path / "logs" / "s" / "events.jsonl", start)
    found = take("copilot-cli", tmp_path / "logs")
    assert list(found.taken.remarks.empty.values()) == [1]
