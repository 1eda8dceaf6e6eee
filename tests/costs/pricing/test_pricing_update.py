"""Newer prices: the difference comes first, nothing changes by looking, and old prices stay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.costs.errors import PriceFileError
from shared.costs.pricing import update
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.rates import Price, PriceList, Rate
from shared.costs.pricing.update import (
    PriceChange,
    UpdateFailed,
    changes,
    file_prices,
    install_release,
    installed_release,
    merged_file,
    read_release,
)

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel of a newer release, in which GPT-5 costs 9 instead of 1.25, made from the installed one."""
    import genai_prices

    package = Path(genai_prices.__file__).parent
    path = tmp_path / "genai_prices-0.2.99-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in package.glob("*.py"):
            text = file.read_text("utf-8")
            if file.name == "data.py":
                head, marker, rest = text.partition("id='gpt-5',")
                text = (
                    head + marker + rest.replace("input_mtok=Decimal('1.25')", "input_mtok=Decimal('9')", 1)
                )
            archive.writestr(f"genai_prices/{file.name}", text)
        info = "genai_prices-0.2.99.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: genai-prices\nVersion: 0.2.99\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.no_cover
def test_a_release_is_read_without_installing_it(wheel: Path) -> None:
    catalogue = Catalogue.load()
    before, after = installed_release(catalogue), read_release(wheel)
    assert after.version == "0.2.99"
    assert before.version != after.version
    found = changes(before.models, after.models)
    assert [(change.kind, change.name) for change in found] == [("changed", "openai/gpt-5")]
    assert "input $1.25" in found[0].before[0]
    assert "input $9" in found[0].after[0]
    assert installed_release(Catalogue.load()).version == before.version


INSTALL = """
import sys
from pathlib import Path
from shared.costs.pricing.update import install_release

install_release(Path(sys.argv[1]))
"""


def test_pip_installs_a_release_from_its_file_alone(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, which has our packages on its path and whatever pip puts into it."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    path = os.pathsep.join([str(Path(update.__file__).parents[3]), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "PIP_CONFIG_FILE": os.devnull}
    subprocess.run([python, "-c", INSTALL, str(wheel)], check=True, env=environment)
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    assert "Decimal('9')" in (packages / "genai_prices" / "data.py").read_text("utf-8")
    assert (packages / "genai_prices-0.2.99.dist-info").is_dir()
    assert installed_release(Catalogue.load()).version != "0.2.99"


def test_what_is_no_release_is_refused(tmp_path: Path) -> None:
    for name in (
        "genai_prices-0.2.99-py3-none-any.whl",
        "other-1.0-py3-none-any.whl",
        "genai_prices-0.3.0-py3-none-any.whl",
    ):
        with pytest.raises(UpdateFailed, match="pip download"):
            read_release(tmp_path / name)
    broken = tmp_path / "genai_prices-0.2.99-py3-none-any.whl"
    broken.write_bytes(b"no archive")
    with pytest.raises(UpdateFailed, match="cannot be read"):
        read_release(broken)
    with pytest.raises(UpdateFailed, match="pip could not install"):
        install_release(broken)


def test_without_the_package_there_is_no_release() -> None:
    assert installed_release(Catalogue(Catalogue.load().own)).models == {}


def prices(usd: int, **more: Price) -> PriceList:
    base = Price({"input": Rate(usd, 1)}, since=JANUARY)
    return PriceList("a/b", (base,), {tier: (price,) for tier, price in more.items()})


def test_changes_in_words() -> None:
    old = {"a/same": prices(1), "a/gone": prices(1), "a/other": prices(1)}
    new = {
        "a/same": prices(1),
        "a/new": PriceList("a/new", (Price(free=True),)),
        "a/other": prices(
            2, batch=Price({"input": Rate(1, 1)}, above=((100, {"input": Rate(3, 1)}),), hours=(30, 990))
        ),
    }
    assert changes(old, new) == [
        PriceChange("removed", "a/gone", before=("standard since 2026-01-01: input $0.001",)),
        PriceChange("added", "a/new", after=("standard at any date: free",)),
        PriceChange(
            "changed",
            "a/other",
            before=("standard since 2026-01-01: input $0.001",),
            after=(
                "standard since 2026-01-01: input $0.002",
                "batch at any date, 00:30-16:30 UTC: input $0.001, input $0.003 above 100",
            ),
        ),
    ]
    assert changes(old, old) == []
    assert update.in_words(PriceList("a/b", (Price(),))) == ("standard at any date: no rate",)


# --- price files

MINE = """# my prices
models:
  acme/one:   # the usual
    since: 2026-01-01
    source: offer
    per_million_tokens: {input: 1.00, output: 2.00}
  acme/two:
    prices:
      - {since: 2026-01-01, source: offer, per_image: 0.10}
aliases: {azure/prod: azure/gpt-4o}   # ours
"""

NEWER = """
models:
  Acme/one:
    since: 2026-06-01
    source: new offer
    per_million_tokens: {input: 0.90, output: 1.80}
  acme/two:
    prices:
      - {since: 2026-06-01, source: new offer, per_image: 0.09}
      - {since: 2026-01-01, source: offer, per_image: 0.10}
  acme/three: {free: true, source: a gift}
"""


def test_newer_prices_are_added_and_everything_else_stays(tmp_path: Path) -> None:
    mine, newer = tmp_path / "prices.yaml", tmp_path / "newer.yaml"
    mine.write_text(MINE)
    newer.write_text(NEWER)
    text = merged_file(newer, mine)
    assert mine.read_text() == MINE
    for comment in ("# my prices", "# the usual", "# ours"):
        assert comment in text
    before = file_prices(mine)
    mine.write_text(text)
    after = file_prices(mine)
    assert [price.source for price in after["acme/one"].prices] == ["new offer", "offer"]
    assert [price.source for price in after["acme/two"].prices] == ["new offer", "offer"]
    assert after["acme/three"].prices[0].free
    for name, old in before.items():
        assert after[name].at(JANUARY) == old.at(JANUARY)
    assert [(change.kind, change.name) for change in changes(before, after)] == [
        ("changed", "acme/one"),
        ("added", "acme/three"),
        ("changed", "acme/two"),
    ]
    assert Catalogue.load(None, mine).own.aliases is not None
    # The same file again changes nothing.
    assert changes(after, _prices_of(merged_file(newer, mine), tmp_path)) == []


def _prices_of(text: str, folder: Path) -> dict[str, PriceList]:
    path = folder / "again.yaml"
    path.write_text(text)
    return file_prices(path)


def test_the_first_price_file_is_made(tmp_path: Path) -> None:
    newer = tmp_path / "newer.yaml"
    newer.write_text(NEWER)
    text = merged_file(newer, tmp_path / "prices.yaml")
    assert set(_prices_of(text, tmp_path)) == {"acme/one", "acme/two", "acme/three"}
    shutil.copy(newer, tmp_path / "empty.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert set(_prices_of(merged_file(newer, tmp_path / "empty.yaml"), tmp_path)) == {
        "acme/one",
        "acme/two",
        "acme/three",
    }


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (
            "models: {acme/one: {since: 2026-06-01, source: s, per_image: 1, "
            "tiers: {batch: {since: 2026-06-01, source: s, per_image: 0.5}}}}",
            r"acme/one .* cannot be added: batch since 2026-06-01: images \$0.5",
        ),
        (
            "models: {acme/one: {since: 2026-06-01, source: s, per_image: 1, aliases: [uno]}}",
            "cannot be added: the name acme/uno",
        ),
        (
            'models: {acme/one: {since: 2026-01-01, source: s, hours_utc: "00:30-16:30", per_image: 1}}',
            "cannot be added: standard since 2026-01-01, 00:30-16:30 UTC: images",
        ),
        ("services: {acme: {discount: {percent: 9, since: 2026-06-01, source: s}}}", "only models are added"),
    ],
    ids=["a tier", "a name", "hours", "a discount"],
)
def test_nothing_of_a_file_is_left_out_in_silence(more: str, fault: str, tmp_path: Path) -> None:
    mine, newer = tmp_path / "prices.yaml", tmp_path / "newer.yaml"
    mine.write_text(MINE)
    newer.write_text(more)
    with pytest.raises(PriceFileError, match=fault):
        merged_file(newer, mine)


def test_a_price_is_never_overwritten(tmp_path: Path) -> None:
    mine, newer = tmp_path / "prices.yaml", tmp_path / "newer.yaml"
    mine.write_text(MINE)
    newer.write_text(NEWER.replace("2026-06-01", "2026-01-01", 1))
    with pytest.raises(PriceFileError, match="another price for acme/one since 2026-01-01"):
        merged_file(newer, mine)
    newer.write_text("models: {acme/one: {free: maybe}}")
    with pytest.raises(PriceFileError, match="true or false"):
        merged_file(newer, mine)
