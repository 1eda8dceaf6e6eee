"""Take a newer release of ``genai-prices`` (a wheel), or a price file; the difference comes first.

A file's prices are added to the user's ``prices.yaml``: nothing there is overwritten, nothing left out.

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from ..errors import CostError, Place, PriceFileError
from ..small_file import read
from ..yaml_splice import flow, prepend, put
from ..yaml_strict import parse
from .book import PriceBook
from .catalogue import Catalogue
from .genai import SOURCE as GENAI
from .genai import GenaiPrices, installed_version
from .rates import UNITS, Price, PriceList, from_plain
from .reading import read_book

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


def file_prices(path: Path) -> dict[str, PriceList]:
    """Return the prices of a price file, by ``provider/model``.

    Raises:
        PriceFileError: the file cannot be read or does not follow the format.
    """
    book = _book(path, read(path, PriceFileError))
    return {name: prices for name in book.names() if (prices := book.find(name))}


def merged_file(path: Path, target: Path) -> str:
    """Return the text of ``target`` (a ``prices.yaml``, or nothing yet) with the models of ``path`` added.

    Comments and all that is in ``target`` stay. A model that is in both keeps its earlier prices:
    newer ones are added to it.

    Raises:
        PriceFileError: one of the files does not follow the format, ``path`` has another price than
            ``target`` for the same model and date, or something that cannot be added.
    """
    new = file_prices(path)
    old = file_prices(target) if target.exists() else {}
    text = target.read_text("utf-8") if target.exists() else ""
    source = _loaded(path.read_text("utf-8"))
    _refuse_others(path, source)
    for key, model in (source.get("models") or {}).items():
        name = key.strip().lower()
        if name in old:
            _refuse_conflict(path, name, old[name], new[name])
        text = _added(text, key, model, old.get(name))
    _refuse_left_out(path, new, _book(target, text.encode()))
    return text


def _loaded(text: str) -> dict[str, Any]:
    """Return YAML as maps, lists and texts: a rate stays as it is written."""
    import yaml

    return yaml.load(text, yaml.BaseLoader) or {}  # noqa: S506  # texts alone


def _added(text: str, key: str, model: Any, old: PriceList | None) -> str:
    """Return the text with a model added; to one that is there, the prices of new dates."""
    if old is None:
        return put(text, ("models", key), flow(model))
    known = {price.since for price in old.prices}
    added = [price for price in _listed(model) if _since(price) not in known]
    if not added:
        return text
    models = _loaded(text)["models"]
    current = next(each for each in models if each.strip().lower() == key.strip().lower())
    if "prices" in models[current]:
        return prepend(text, ("models", current, "prices"), map(flow, added))
    return put(text, ("models", current), flow(_as_list(models[current], added)))


def _book(path: Path, content: bytes) -> PriceBook:
    return PriceBook(read_book([parse(content, path, PriceFileError)]), "profile", "")


def _refuse_others(path: Path, source: Mapping[str, Any]) -> None:
    for key in sorted(source.keys() - {"models", "checked"}):
        raise PriceFileError(Place(path, key=key), "only models are added by an update", _BY_HAND)


def _refuse_left_out(path: Path, new: Mapping[str, PriceList], merged: PriceBook) -> None:
    """Refuse a file of which something would be left out in silence, such as a new tier of a known model."""
    for name, prices in new.items():
        result = merged.find(name)
        known = _contents(result) if result else set()
        if missing := sorted(_contents(prices) - known):
            what = f"{name} is in your prices.yaml already, and this of it cannot be added: {missing[0]}"
            raise PriceFileError(Place(path, key=f"models.{name}"), what, _BY_HAND)


def _contents(prices: PriceList) -> set[str]:
    """Return in words all that a model's prices say: each price of each tier, and each further name."""
    return {*in_words(prices), *(f"the name {alias}" for alias in prices.aliases)}


_BY_HAND: Final = "write it into your prices.yaml by hand"


def _refuse_conflict(path: Path, name: str, old: PriceList, new: PriceList) -> None:
    before = {(price.since, price.hours): price.rates for price in old.prices}
    for price in new.prices:
        key = (price.since, price.hours)
        if key in before and before[key] != price.rates:
            raise PriceFileError(
                Place(path, key=f"models.{name}"),
                f"it has another price for {name} since {price.since:%Y-%m-%d} than your prices.yaml",
                "give it a later date: a price is never overwritten",
            )


_OF_THE_MODEL: Final = ("aliases", "class", "complete", "tiers")
"""What a model says beside its prices."""


def _listed(model: Any) -> list[Any]:
    if "prices" in model:
        return list(model["prices"])
    return [{key: value for key, value in model.items() if key not in _OF_THE_MODEL}]


def _since(price: Any) -> datetime | None:
    since = price.get("since")
    return datetime.fromisoformat(since).replace(tzinfo=UTC) if since else None


def _as_list(model: Any, added: list[Any]) -> Any:
    outer = {key: model[key] for key in _OF_THE_MODEL if key in model}
    inner = {key: value for key, value in model.items() if key not in outer}
    return {**outer, "prices": [*added, inner]}
