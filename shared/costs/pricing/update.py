"""Take a newer release of ``genai-prices`` (a wheel), and tell how prices differ. The difference comes first.

A release that was installed by other means is in force at once; what it changes can still be seen.

Nothing is changed by computing a difference. What was priced stays as priced: a newer source holds
for later calls, and ``reprice`` is the way to correct earlier ones.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ..errors import CostError
from .catalogue import Catalogue
from .genai import SOURCE as GENAI
from .genai import GenaiPrices, installed_version
from .rates import UNITS, Price, PriceList, from_plain

SUPPORTED: Final = ">=0.2,<0.3"
"""The releases of ``genai-prices`` whose types are understood."""

_WHEEL: Final = re.compile(r"genai_prices-(0\.2\.[0-9][A-Za-z0-9.]*)-.*\.whl")
_EXPORT: Final = """
import json, sys
sys.path.insert(0, sys.argv[1])
from shared.costs.pricing.genai import GenaiPrices
from shared.costs.memory import Memory
from shared.costs.pricing.rates import to_plain
import genai_prices.data
assert genai_prices.data.__file__.startswith(sys.argv[1]), genai_prices.data.__file__
json.dump([to_plain(prices) for prices in GenaiPrices(Memory(None)).everything()], sys.stdout)
"""


class UpdateFailed(CostError):
    """A newer source of prices could not be taken; the prices in use are unchanged."""


@dataclass(frozen=True, slots=True)
class Release:
    """All prices of one release of ``genai-prices``, by ``provider/model``."""

    version: str
    models: Mapping[str, PriceList]


@dataclass(frozen=True, slots=True)
class PriceChange:
    """How the price of one model would change. ``before`` and ``after`` are rates in words, in order."""

    kind: Literal["added", "removed", "changed"]
    name: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def read_release(wheel: Path) -> Release:
    """Return the prices in a wheel of ``genai-prices``, read by a process of its own; nothing is installed.

    Raises:
        UpdateFailed: this is no such wheel, or of a release that is not supported.
    """
    found = _WHEEL.fullmatch(wheel.name)
    if not found or not wheel.is_file():
        raise UpdateFailed(
            f"{wheel} is no wheel of genai-prices {SUPPORTED}: get one with "
            f"`pip download --no-deps 'genai-prices{SUPPORTED}'`"
        )
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])}
    command = [sys.executable, "-c", _EXPORT, str(wheel.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        fault = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise UpdateFailed(f"{wheel} cannot be read ({fault[0]}): download it again")
    return Release(found[1], _by_name(json.loads(done.stdout)))


def installed_release(catalogue: Catalogue) -> Release:
    """Return the prices of the installed ``genai-prices``. Imports it."""
    genai = catalogue.genai
    if genai is None or not genai.version:
        return Release("", {})
    return Release(genai.version, {prices.name: prices for prices in genai.everything()})


def earlier_release(catalogue: Catalogue) -> Release | None:
    """Return what is remembered of the newest release before the installed one that priced calls here."""
    present = _order(installed_version())
    versions = [name.removeprefix(f"{GENAI}-") for name in catalogue.memory.names() if name.startswith(GENAI)]
    earlier = [version for version in versions if _order(version) < present]
    if not earlier:
        return None
    source = GenaiPrices(catalogue.memory, max(earlier, key=_order))
    known = {name: prices for name in source.remembered_names() if (prices := source.named(name))}
    return Release(source.version, known)


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)))


def _by_name(plain: Iterable[Mapping[str, Any]]) -> dict[str, PriceList]:
    return {prices.name: prices for prices in map(from_plain, plain)}


def changes(old: Mapping[str, PriceList], new: Mapping[str, PriceList]) -> list[PriceChange]:
    """Return how prices differ between two sets of them, by name."""
    found = []
    for name in sorted({*old, *new}):
        before, after = (in_words(prices.get(name)) for prices in (old, new))
        if before != after:
            kind: Literal["added", "removed", "changed"]
            kind = "added" if name not in old else "removed" if name not in new else "changed"
            found.append(PriceChange(kind, name, before, after))
    return found


def in_words(prices: PriceList | None) -> tuple[str, ...]:
    """Return each price of each tier in words, such as ``batch since 2026-06-01: input $0.5``."""
    if prices is None:
        return ()
    several = [(None, prices.prices), *sorted(prices.tiers.items())]
    return tuple(_sentence(tier, price) for tier, dated in several for price in dated)


def _sentence(tier: str | None, price: Price) -> str:
    when = f"since {price.since:%Y-%m-%d}" if price.since else "at any date"
    hours = f", {price.when}" if price.when else ""
    rates = [f"{part} ${rate.usd_per(UNITS[part].per)}" for part, rate in sorted(price.rates.items())]
    for threshold, larger in price.above:
        rates += [
            f"{part} ${rate.usd_per(UNITS[part].per)} above {threshold:,}"
            for part, rate in sorted(larger.items())
        ]
    for part, step in sorted(price.steps.items()):
        rates += [f"{part} in steps of {step.size}"] * bool(step.size) + [
            f"{part} at least {step.least}"
        ] * bool(step.least)
    rates += ["each channel"] * price.per_channel
    what = "free" if price.free else ", ".join(rates) or "no rate"
    return f"{tier or 'standard'} {when}{hours}: {what}"


def install_release(wheel: Path) -> None:
    """Install a wheel of ``genai-prices`` into this environment, from the file alone.

    Raises:
        UpdateFailed: pip could not do it.
    """
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        fault = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise UpdateFailed(f"pip could not install {wheel} ({fault[0]}): install it by hand")
