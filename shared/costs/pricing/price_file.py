"""Add the prices of a file to the user's ``prices.yaml``: nothing there is overwritten, nothing left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ..errors import Place, PriceFileError
from ..small_file import read
from ..yaml_strict import parse
from ..yaml_strict.splice import flow, prepend, put
from .book import PriceBook
from .rates import PriceList
from .reading import read_book
from .update import in_words


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
