"""The program that runs all checks, on a small project of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import environment
import pytest

PROGRAM = Path(environment.__file__).with_name("test.py")
ONCE = """
from pathlib import Path

import pytest

@pytest.mark.parametrize("number", range({tests}))
def test_that_fails_once(number):
    been = Path(__file__).with_name(f"been-{{number}}")
    is_new = not been.exists()
    been.touch()
    assert not is_new
"""
ALWAYS = "def test_that_fails():\n    assert False\n"
NEVER = "def test_that_passes():\n    pass\n"


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, for a project in a folder of its own and with this test's environment."""
    spec = importlib.util.spec_from_file_location("all_checks", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "FOLDER", Path(sys.prefix))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take longer to load than all of this
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return module


@pytest.mark.parametrize(
    ("tests", "failed", "said"),
    [
        pytest.param({"test_a": ONCE.format(tests=2), "test_b": NEVER}, [], "2 failed", id="by-chance"),
        pytest.param({"test_a": ONCE.format(tests=1), "test_b": ALWAYS}, ["tests"], "2 failed", id="again"),
        pytest.param({"test_a": ONCE.format(tests=6)}, ["tests"], None, id="too-many-for-chance"),
        pytest.param({"test_a": "no python"}, ["tests"], None, id="not-even-found"),
    ],
)
def test_a_few_that_failed_are_run_once_more(
    tests: dict[str, str],
    failed: list[str],
    said: str | None,
    checks: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in tests.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert checks.failures({"tests": ["pytest", "-q"]}, again=True) == failed
    printed = capsys.readouterr()
    assert ("run once more, alone" in printed.err + printed.out) is bool(said)
    assert said is None or said in printed.err + printed.out


@pytest.mark.parametrize(("check", "again"), [("others", True), ("tests", False)])
def test_those_of_other_checks_or_of_a_persons_own_choice_are_not(
    check: str, again: bool, checks: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "test_a.py").write_text(ONCE.format(tests=1))
    assert checks.failures({check: ["pytest", "-q"]}, again=again) == [check]


def test_types_are_checked_of_programs_that_nothing_imports(checks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "mypy.ini").write_text("[mypy]\nfiles = a.py\n")
    (tmp_path / "a.py").write_text("number: int = 1\n")
    program = tmp_path / "scripts" / "bench" / "measure.py"
    program.parent.mkdir(parents=True)
    for text, code in (("number: int = 1\n", 0), ("number: int = 'one'\n", 1)):
        program.write_text(text)
        with (tmp_path / "said").open("wb") as said:
            assert checks.types_of_all(said)[0] == code
