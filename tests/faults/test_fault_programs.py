"""Every fault program in its short form; in full with ``-m long``."""

from __future__ import annotations

import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import scripts.bench
import scripts.faults
from scripts.agents import __main__ as real_agents
from scripts.bench import (
    histories,
    p1_log_usage,
    p3_writers,
    p4_pricing,
    p5_start_up,
    p6_p7_views,
    p8_p10_rebuild,
    p9_export,
    p11_sessions,
    p12_new_jobs,
    p13_gate,
    p14_p15_reports,
    p16_limits,
    p17_reconcile,
    p18_shared,
    p19_archive,
    reprice,
    serve_reach,
    walk,
)
from scripts.faults import (
    admission,
    archive_kills,
    cancellation,
    damage,
    disk_full,
    fleet_faults,
    fleet_storm,
    gate_storm,
    kill_storm,
    lifecycle,
    limit_storm,
    lock_hygiene,
    malformed_requests,
    mutation_check,
    new_jobs,
    power_cut,
    sessions,
    signals,
    stopped_holder,
    store_clock,
    store_fuzz,
    store_kills,
    store_model,
    syscall_faults,
)
from shared.costs.store.presence import presence_in
from tests.support import postgres

ELSEWHERE = (gate_storm,)
"""Programs that run in the tests of what they try."""

STORAGE_INTACT = ",".join(step for step in lifecycle.STEPS if step not in lifecycle.ON_THE_STORAGE)

PROGRAMS: dict[str, tuple[ModuleType, str | None, str]] = {
    "admission": (admission, "--batches 2", ""),
    "archive kills": (archive_kills, "--kills 6", ""),
    "kill storm": (kill_storm, "--kills 20", ""),
    "malformed requests": (malformed_requests, "--requests 60 --crowd 10", ""),
    "truncation": (damage, "truncation --records 1", "truncation"),
    "bit flips": (damage, "flips --records 2", "flips"),
    "mutations": (damage, "mutations --cases 3000", "mutations"),
    "lock hygiene": (lock_hygiene, "--holds 1600", ""),
    "system calls": (syscall_faults, "--cases 24", ""),
    "sessions": (sessions, None, ""),
    "disk full": (disk_full, "--entries 150", "--entries 5000"),
    "stopped holder": (stopped_holder, "--calls 1 --only everything", "--calls 20"),
    "mutation check": (mutation_check, None, ""),
    "fleet storm": (fleet_storm, "--hosts 2 --processes 2 --seconds 4 --limit 0.4", ""),
    "fleet faults": (
        fleet_faults,
        "--hosts 2 --processes 1 --seconds 1 --limit 0.3 --lease 3 --only restore",
        "",
    ),
    "limit storm": (limit_storm, "--processes 4 --kills 4", ""),
    "new jobs": (new_jobs, "--rounds 1 --processes 8", ""),
    "lifecycle": (lifecycle, None, f"--only {STORAGE_INTACT}"),
    "lost storage": (lifecycle, "--steps 60", ""),
    "signals": (signals, "--interrupts 120 --rounds 2", ""),
    "cancellation": (cancellation, "--rounds 30", ""),
    "power cut": (power_cut, None, ""),
    "store model": (store_model, "--sequences 4 --steps 10 --raw", ""),
    "store kills": (store_kills, "--kills 8", ""),
    "store fuzz": (store_fuzz, "--files 8", ""),
    "store clock": (store_clock, "--months 1", ""),
}
"""Each with what it is given in the suite, where it runs there, and at its full length."""

BENCHMARKS = (
    histories,
    p1_log_usage,
    p3_writers,
    p4_pricing,
    p5_start_up,
    p6_p7_views,
    p8_p10_rebuild,
    p9_export,
    p11_sessions,
    p12_new_jobs,
    p13_gate,
    p14_p15_reports,
    p16_limits,
    p17_reconcile,
    p18_shared,
    p19_archive,
    real_agents,
    reprice,
    serve_reach,
    walk,
)
"""Programs that measure and compare: here they say how they are called."""


def run(program: ModuleType, arguments: str) -> str:
    if program is power_cut and shutil.which("strace") is None:
        pytest.skip("strace records the system calls")
    if program in (fleet_storm, fleet_faults):
        postgres.require()
    command = [sys.executable, "-m", program.__name__, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [name for name, (_, short, _) in PROGRAMS.items() if short])
def test_it_holds(name: str) -> None:
    program, short, _ = PROGRAMS[name]
    assert short is not None
    assert "held: " in run(program, short)


@pytest.mark.long
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_holds_at_full_length(name: str) -> None:
    program, _, full = PROGRAMS[name]
    assert "held: " in run(program, full)


def test_a_power_cut_loses_nothing_and_something_without_syncs(tmp_path: Path) -> None:
    told = f"--states 12 --keep {tmp_path}"
    assert "held: " in run(power_cut, told)
    command = [sys.executable, "-m", power_cut.__name__, *told.split(), "--without-sync", "*.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "acknowledged and in no ledger" in done.stdout


def test_each_safeguard_stands_where_the_mutation_check_takes_it_out() -> None:
    """That program takes most of an hour, and stops where a line that it looks for was changed."""
    code = Path(__file__).parents[2] / "shared" / "costs"
    for each in mutation_check.MUTANTS:
        assert (code / each.file).read_text("utf-8").count(each.old) == 1, each.name


def test_nobody_may_write_to_the_ledgers_of_a_history_that_is_measured(tmp_path: Path) -> None:
    """Each ledger of a living process is looked at for each page, which no user's ten thousand are."""
    history = histories.kept(tmp_path / "history", 8, 2)
    presence = presence_in(history.storage.root / "writers")
    assert set(presence.names()) == presence.dead(presence.names()) != set()
    assert histories.kept(tmp_path / "history", 8, 2) == history


def test_each_program_is_run_by_a_test() -> None:
    named = {*ELSEWHERE, *BENCHMARKS, *(module for module, _, _ in PROGRAMS.values())}
    assert programs(scripts.faults) | programs(scripts.bench) <= {module.__name__ for module in named}


def programs(package: ModuleType) -> set[str]:
    """Return the modules of a package that run as programs."""
    found = set()
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        spec = module.module_finder.find_spec(module.name, None)
        assert spec is not None
        assert spec.origin is not None
        with open(spec.origin, encoding="utf-8") as file:
            if '__name__ == "__main__"' in file.read():
                found.add(module.name)
    return found


@pytest.mark.parametrize("program", BENCHMARKS, ids=lambda program: program.__name__.rpartition(".")[2])
def test_a_benchmark_says_what_it_measures(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [program.__name__, "--help"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 0
    assert (program.__doc__ or "").splitlines()[0].rstrip(".:").split()[-1] in capsys.readouterr().out
