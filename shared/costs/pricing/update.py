"""Take a newer release of ``genai-prices`` (a wheel), or a price file; the difference comes first.

A file's prices are added to the user's ``prices.yaml``: nothing there is overwritten, nothing left out.

A release that was installed by other means holds at once; its differences can still be shown.

Computing a difference changes nothing. Calls keep their prices: a newer source holds for later calls, and
``reprice`` corrects earlier ones.
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

from ..errors import CostError, FilePosition, PriceFileError
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
"""The supported releases of ``genai-prices``."""

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
    """A newer source of prices could not be read or installed; the prices in use are unchanged."""


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
    """Return the prices in a wheel of ``genai-prices``, read by a separate process; nothing is installed.

    Raises:
        UpdateFailed: the file is not such a wheel, or its release is not supported.
    """
    match = _WHEEL.fullmatch(wheel.name)
    if not match or not wheel.is_file():
        raise UpdateFailed(
            f"{wheel} is not a wheel of genai-prices {SUPPORTED}: get one with "
            f"`pip download --no-deps 'genai-prices{SUPPORTED}'`"
        )
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])}
    command = [sys.executable, "-c", _EXPORT, str(wheel.resolve())]
    reader = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if reader.returncode:
        fault = reader.stderr.strip().splitlines()[-1:] or ["no message"]
        raise UpdateFailed(f"{wheel} cannot be read ({fault[0]}): download it again")
    return Release(match[1], _by_name(json.loads(reader.stdout)))


def installed_release(catalogue: Catalogue) -> Release:
    """Return the prices of the installed ``genai-prices``. Imports it."""
    genai = catalogue.genai
    if genai is None or not genai.version:
        return Release("", {})
    return Release(genai.version, {prices.name: prices for prices in genai.everything()})


def earlier_release(catalogue: Catalogue) -> Release | None:
    """Return the remembered prices of the newest release before the installed one that priced calls here."""
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
    differences = []
    for name in sorted({*old, *new}):
        before, after = (in_words(prices.get(name)) for prices in (old, new))
        if before != after:
            kind: Literal["added", "removed", "changed"]
            kind = "added" if name not in old else "removed" if name not in new else "changed"
            differences.append(PriceChange(kind, name, before, after))
    return differences


def in_words(prices: PriceList | None) -> tuple[str, ...]:
    """Return each price of each tier in words, such as ``batch since 2026-06-01: input $0.5``."""
    if prices is None:
        return ()
    tiers = [(None, prices.prices), *sorted(prices.tiers.items())]
    return tuple(_sentence(tier, price) for tier, dated in tiers for price in dated)


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
    pip = subprocess.run(command, capture_output=True, text=True, check=False)
    if pip.returncode:
        fault = pip.stderr.strip().splitlines()[-1:] or ["no message"]
        raise UpdateFailed(f"pip could not install {wheel} ({fault[0]}): install it by hand")


def file_prices(path: Path) -> dict[str, PriceList]:
    """Return the prices of a price file, by ``provider/model``.

    Raises:
        PriceFileError: the file cannot be read or does not follow the format.
    """
    book = _book(path, read(path, PriceFileError))
    return {name: prices for name in book.names() if (prices := book.find(name))}


def merged_file(path: Path, target: Path) -> str:
    """Return the text of ``target`` (a ``prices.yaml`` that may not exist) with the models of ``path`` added.

    Everything in ``target`` stays, comments too. A model that is in both keeps its earlier prices, and
    newer ones are added to it.

    Raises:
        PriceFileError: one of the files does not follow the format, ``path`` has another price than
            ``target`` for the same model and date, or something that cannot be added.
    """
    new = file_prices(path)
    old = file_prices(target) if target.exists() else {}
    text = target.read_text("utf-8") if target.exists() else ""
    source = _load_texts(path.read_text("utf-8"))
    _refuse_other_keys(path, source)
    for key, model in (source.get("models") or {}).items():
        name = key.strip().lower()
        if name in old:
            _refuse_conflict(path, name, old[name], new[name])
        text = _add_model(text, key, model, old.get(name))
    _refuse_left_out(path, new, _book(target, text.encode()))
    return text


def _load_texts(text: str) -> dict[str, Any]:
    """Return YAML as maps, lists and texts, so that a rate stays as it is written."""
    import yaml

    return yaml.load(text, yaml.BaseLoader) or {}  # noqa: S506  # gives only texts


def _add_model(text: str, key: str, model: Any, old: PriceList | None) -> str:
    """Return the text with a model added, or only the prices of new dates if it has the model already."""
    if old is None:
        return put(text, ("models", key), flow(model))
    known = {price.since for price in old.prices}
    new_prices = [price for price in _price_items(model) if _since(price) not in known]
    if not new_prices:
        return text
    models = _load_texts(text)["models"]
    current = next(name for name in models if name.strip().lower() == key.strip().lower())
    if "prices" in models[current]:
        return prepend(text, ("models", current, "prices"), map(flow, new_prices))
    return put(text, ("models", current), flow(_as_list(models[current], new_prices)))


def _book(path: Path, content: bytes) -> PriceBook:
    return PriceBook(read_book([parse(content, path, PriceFileError)]), "profile", "")


def _refuse_other_keys(path: Path, source: Mapping[str, Any]) -> None:
    for key in sorted(source.keys() - {"models", "checked"}):
        raise PriceFileError(FilePosition(path, key=key), "only models are added by an update", _BY_HAND)


def _refuse_left_out(path: Path, new: Mapping[str, PriceList], merged: PriceBook) -> None:
    """Refuse a file if some of it would be left out silently, such as a new tier of a known model."""
    for name, prices in new.items():
        merged_prices = merged.find(name)
        known = _statements(merged_prices) if merged_prices else set()
        if missing := sorted(_statements(prices) - known):
            fault = f"{name} is in your prices.yaml already, but this cannot be added: {missing[0]}"
            raise PriceFileError(FilePosition(path, key=f"models.{name}"), fault, _BY_HAND)


def _statements(prices: PriceList) -> set[str]:
    """Return each price of each tier of a model and each of its other names, in words."""
    return {*in_words(prices), *(f"the name {alias}" for alias in prices.aliases)}


_BY_HAND: Final = "write it into your prices.yaml by hand"


def _refuse_conflict(path: Path, name: str, old: PriceList, new: PriceList) -> None:
    before = {(price.since, price.hours): price.rates for price in old.prices}
    for price in new.prices:
        key = (price.since, price.hours)
        if key in before and before[key] != price.rates:
            raise PriceFileError(
                FilePosition(path, key=f"models.{name}"),
                f"it has another price for {name} since {price.since:%Y-%m-%d} than your prices.yaml",
                "give it a later date: a price is never overwritten",
            )


_MODEL_KEYS: Final = ("aliases", "class", "complete", "tiers")
"""The keys of a model besides those of its prices."""


def _price_items(model: Any) -> list[Any]:
    if "prices" in model:
        return list(model["prices"])
    return [{key: value for key, value in model.items() if key not in _MODEL_KEYS}]


def _since(price: Any) -> datetime | None:
    since = price.get("since")
    return datetime.fromisoformat(since).replace(tzinfo=UTC) if since else None


def _as_list(model: Any, new_prices: list[Any]) -> Any:
    outer = {key: model[key] for key in _MODEL_KEYS if key in model}
    inner = {key: value for key, value in model.items() if key not in outer}
    return {**outer, "prices": [*new_prices, inner]}
