"""Packages of ``shared/costs`` use those below them alone, and stages use the two façades alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_cover

ROOT = Path(__file__).resolve().parents[1]

LAYERS: list[set[str]] = [
    {
        "corrections",
        "extras",
        "forks",
        "importing",
        "money",
        "errors",
        "model",
        "patience",
        "periods",
        "rollup",
        "trail",
        "units",
    },
    {"platform", "shipped", "small_file"},
    {"replacing", "storage", "memory", "yaml_strict", "yaml_splice"},
    {"pricing", "ledger", "profile"},
    {"archive"},
    {"budgets"},
    {"store"},
    {"fleet"},
    {"workspace"},
    {"capture", "analysis", "notify"},
    {"tracking"},
    {"reports"},
    {"formats"},
    {"exchange", "demo", "run"},
    {"apps"},
]
"""From the ground up. A package may use those of lower layers; those of one layer do not know each other
(the pure types of the first one do)."""

PURE = ["analysis", "budgets/limits.py", "pricing/arithmetic.py"]
NOT_PURE = {
    "io",
    "logging",
    "os",
    "random",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "sys",
    "tempfile",
    "time",
}

FACADES = {"shared.cost_tracker", "shared.user_profile"}
STAGES = [*sorted((ROOT / "scripts").glob("[0-9]*.py")), ROOT / "scripts" / "run_batch.py"]


def level(package: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if package in layer)


def package_of(module: str) -> str | None:
    """The package a module is in: ``shared.costs.store.tables`` is in ``store``."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["shared", "costs"] and len(parts) > 2 else None


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def statements(path: Path) -> tuple[list[ast.Import | ast.ImportFrom], set[int]]:
    """The statements of a file that import, and the lines that are for its annotations alone."""
    found, lines = [], set[int]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found, lines


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, at any depth, with the line; relative names resolved."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in statements(path)[0]:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        else:
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def modules_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def packages() -> list[str]:
    inside = (ROOT / "shared" / "costs").iterdir()
    return sorted(
        {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()}
        - {"__init__"}
    )


def against_the_arrows(path: Path) -> Iterator[str]:
    home = package_of(module_name(path))
    assert home is not None
    for line, module in imports(path):
        package = package_of(module)
        allowed = package is None or package == home or package.startswith("__")
        if not allowed and level(str(package)) >= max(level(home), 1):
            yield f"{path.relative_to(ROOT)}:{line}: {home} uses {package}"
        if module.startswith(tuple(FACADES)) and level(home) < level("apps"):
            yield f"{path.relative_to(ROOT)}:{line}: {home} uses the façade {module}"


@pytest.mark.parametrize("package", packages())
def test_every_package_has_its_layer(package: str) -> None:
    assert any(package in layer for layer in LAYERS), f"{package} is in no layer: give it one here"


@pytest.mark.parametrize("package", packages())
def test_arrows_run_one_way(package: str) -> None:
    file = ROOT / "shared" / "costs" / f"{package}.py"
    files = [file] if file.exists() else modules_of(f"shared/costs/{package}")
    wrong = [fault for path in files for fault in against_the_arrows(path)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("place", PURE)
def test_pure_packages_do_no_input_or_output(place: str) -> None:
    path = ROOT / "shared" / "costs" / place
    files = [path] if path.suffix else sorted(path.rglob("*.py"))
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {module}"
        for file in files
        for line, module in imports(file)
        if module.split(".")[0] in NOT_PURE
    ]
    assert not wrong, "\n".join(wrong)


def test_reports_know_neither_the_command_line_nor_the_database() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in modules_of("shared/costs/reports")
        for line, module in imports(path)
        if module.split(".")[0] in ("click", "sqlite3")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ["budgets", "notify"])
def test_budgets_know_what_is_shared_by_its_port_alone(package: str) -> None:
    """So that a database that several hosts share can take the place of the local files."""
    kept = {"sqlite3", "shared.costs.store"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in modules_of(f"shared/costs/{package}")
        for line, module in imports(path)
        if any(f"{module}.".startswith(f"{each}.") for each in kept)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_stages_use_the_facades_alone(path: Path) -> None:
    used = {module for _, module in imports(path) if module.split(".")[0] == "shared"}
    assert used, "a stage that does not use the tracker is no model"
    assert {module.rpartition(".")[0] for module in used} <= FACADES


def test_what_stages_share_knows_nothing_of_costs() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules_of("scripts/pipeline")
        for line, module in imports(path)
        if module.split(".")[0] == "shared"
    ]
    assert not wrong


def test_the_test_itself_sees_a_wrong_arrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_layers.ROOT", tmp_path)
    wrong = tmp_path / "shared" / "costs" / "ledger" / "line.py"
    wrong.parent.mkdir(parents=True)
    wrong.write_text(
        "def late():\n    from ..store.store import Store\n    from shared.cost_tracker import x\n"
    )
    assert [fault.partition(": ")[2] for fault in against_the_arrows(wrong)] == [
        "ledger uses store",
        "ledger uses the façade shared.cost_tracker.x",
    ]
