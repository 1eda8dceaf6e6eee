"""What local work would have cost at the cloud price that the user names for it in ``prices.yaml``. Pure.

>>> from datetime import UTC
>>> prices = Catalogue.load()
>>> work = LocalWork("local", "pocketsphinx", Usage(audio_seconds=600), datetime(2026, 11, 22, tzinfo=UTC))
>>> saving(work, "openai/whisper-1", prices)
Saving(local='local/pocketsphinx', cloud='openai/whisper-1', cost=60000000, unverified=False)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

from ..model import Entry, Unpriced, Usage
from ..money import Nanos
from ..pricing.catalogue import Catalogue
from ..pricing.offers import Quote
from ..pricing.rates import UNITS
from ..rollup import Query, Totals


class LocalWork(NamedTuple):
    """What a local model did at an instant: one call, or the sum of several."""

    service: str
    model: str
    usage: Usage
    at: datetime


class Saving(NamedTuple):
    """What work of a local model would have cost at a cloud price, in nano-dollars.

    ``cost`` is ``None`` where the cloud price covers nothing of what the work is counted in.
    """

    local: str
    cloud: str
    cost: Nanos | None
    unverified: bool = False


class Calls(NamedTuple):
    """Where calls are found: their sums by query, and the calls themselves."""

    sums: Callable[[Query], Iterable[Totals]]
    entries: Callable[[Query], Iterable[Entry]]


_COUNTS: Final = (
    "tokens_input",
    "tokens_output",
    "audio_seconds",
    "characters",
    "images",
    "pages",
    "requests",
)


def saving(work: LocalWork, cloud: str, prices: Catalogue) -> Saving:
    """Return what work would have cost at ``cloud`` (``service/model``) on its own date.

    Only what the cloud model bills counts: an engine that counts minutes and tokens is valued by the
    minute where the cloud is.
    """
    service, model = _split(cloud)
    local = f"{work.service}/{work.model}"
    quote = prices.quote(service, model, work.at)
    if isinstance(quote, Unpriced):
        return Saving(local, cloud, None)
    billed = {UNITS[part].field for part in quote.price.rates}
    counts = {name: getattr(work.usage, name) for name in _COUNTS if name in billed}
    found = prices.charge(service, model, Usage(**counts), work.at)
    if isinstance(found, Unpriced) or not any(counts.values()):
        return Saving(local, cloud, None)
    return Saving(local, cloud, found.total, found.priced_by.unverified)


def of_calls(entries: Iterable[Entry], prices: Catalogue) -> list[Saving]:
    """Return what a job's local calls would have cost, by model; calls that were undone do not count."""
    return _by_model(
        saving(one, cloud, prices)
        for one in _work(entries)
        if (cloud := prices.cloud_for(one.service, one.model))
    )


def of_period(
    calls: Calls, query: Query, models: Iterable[tuple[str, str]], prices: Catalogue
) -> list[Saving]:
    """Return what these local models' work between the two instants of a query would have cost, by model."""
    found = []
    for service, model in models:
        if cloud := prices.cloud_for(service, model):
            own = query._replace(service=service, model=model)
            found += [saving(one, cloud, prices) for one in _stretches(calls, own, cloud, prices)]
    return _by_model(found)


def _work(entries: Iterable[Entry]) -> Iterator[LocalWork]:
    made = list(entries)
    undone = {entry.corrects for entry in made if entry.kind == "reversal"}
    for entry in made:
        if entry.kind == "usage" and entry.corrects is None and entry.id not in undone:
            yield LocalWork(entry.service, entry.model, entry.usage, entry.timestamp)


def _stretches(calls: Calls, query: Query, cloud: str, prices: Catalogue) -> Iterator[LocalWork]:
    """Yield the work of each stretch of time in which the cloud price stays the same: its sum where that
    is as good as call by call, which is how prices by the size or length of one call are looked at.
    """
    start, end = query.start, query.end
    assert start is not None
    assert end is not None
    while start < end:
        until = min(prices.steady_until(*_split(cloud), start), end)
        part = query._replace(start=start, end=until)
        quote = prices.quote(*_split(cloud), start)
        if isinstance(quote, Quote) and (quote.price.above or quote.price.steps):
            yield from _work(calls.entries(part))
        else:
            yield from (_summed(part, totals) for totals in calls.sums(part))
        start = until


def _summed(query: Query, totals: Totals) -> LocalWork:
    usage = Usage(
        tokens_input=totals.tokens_input,
        tokens_output=totals.tokens_output,
        audio_seconds=totals.audio_microseconds / 1_000_000,
        requests=totals.calls,
    )
    assert query.service is not None
    assert query.model is not None
    assert query.start is not None
    return LocalWork(query.service, query.model, usage, query.start)


def _by_model(savings: Iterable[Saving]) -> list[Saving]:
    """Return the sums by local model and cloud price, the largest first."""
    found: dict[tuple[str, str], Saving] = {}
    for one in savings:
        other = found.setdefault(one[:2], Saving(one.local, one.cloud, None))
        if one.cost is not None:
            doubt = one.unverified or other.unverified
            found[one[:2]] = Saving(one.local, one.cloud, Nanos((other.cost or 0) + one.cost), doubt)
    return sorted(found.values(), key=lambda one: (-(one.cost or 0), one.local))


def _split(name: str) -> tuple[str, str]:
    service, _, model = name.partition("/")
    return service, model
