"""Values local work at the cloud price that the user names for it in ``prices.yaml``. Pure.

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
    """The usage of a local model at an instant: one call, or the sum of several."""

    service: str
    model: str
    usage: Usage
    at: datetime


class Saving(NamedTuple):
    """What a local model's work would have cost at a cloud price, in nano-dollars.

    ``cost`` is ``None`` where the cloud price has no rate for any unit of the work.
    """

    local: str
    cloud: str
    cost: Nanos | None
    unverified: bool = False


class Calls(NamedTuple):
    """The sources of calls: their sums by query, and the calls themselves."""

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

    Only the units that the cloud model bills count: an engine that counts minutes and tokens is valued by the
    minute where the cloud model is billed by the minute.
    """
    service, model = _split(cloud)
    local = f"{work.service}/{work.model}"
    quote = prices.quote(service, model, work.at)
    if isinstance(quote, Unpriced):
        return Saving(local, cloud, None)
    billed = {UNITS[part].field for part in quote.price.rates}
    counts = {name: getattr(work.usage, name) for name in _COUNTS if name in billed}
    charge = prices.charge(service, model, Usage(**counts), work.at)
    if isinstance(charge, Unpriced) or not any(counts.values()):
        return Saving(local, cloud, None)
    return Saving(local, cloud, charge.total, charge.priced_by.unverified)


def of_calls(entries: Iterable[Entry], prices: Catalogue) -> list[Saving]:
    """Return what a job's local calls would have cost, by model; calls that were reversed do not count."""
    return _by_model(
        saving(work, cloud, prices)
        for work in _work_in(entries)
        if (cloud := prices.cloud_for(work.service, work.model))
    )


def of_period(
    calls: Calls, query: Query, models: Iterable[tuple[str, str]], prices: Catalogue
) -> list[Saving]:
    """Return what these local models' work between the two instants of a query would have cost, by model."""
    savings = []
    for service, model in models:
        if cloud := prices.cloud_for(service, model):
            model_query = query._replace(service=service, model=model)
            savings += [
                saving(work, cloud, prices) for work in _steady_work(calls, model_query, cloud, prices)
            ]
    return _by_model(savings)


def _work_in(entries: Iterable[Entry]) -> Iterator[LocalWork]:
    recorded = list(entries)
    reversed_ids = {entry.corrects for entry in recorded if entry.kind == "reversal"}
    for entry in recorded:
        if entry.kind == "usage" and entry.corrects is None and entry.id not in reversed_ids:
            yield LocalWork(entry.service, entry.model, entry.usage, entry.timestamp)


def _steady_work(calls: Calls, query: Query, cloud: str, prices: Catalogue) -> Iterator[LocalWork]:
    """Yield the work of each span of time in which the cloud price stays the same, as one sum.

    Call by call, where the price depends on the size or length of a single call.
    """
    start, end = query.start, query.end
    assert start is not None
    assert end is not None
    while start < end:
        until = min(prices.steady_until(*_split(cloud), start), end)
        part = query._replace(start=start, end=until)
        quote = prices.quote(*_split(cloud), start)
        if isinstance(quote, Quote) and (quote.price.above or quote.price.steps):
            yield from _work_in(calls.entries(part))
        else:
            yield from (_summed_work(part, totals) for totals in calls.sums(part))
        start = until


def _summed_work(query: Query, totals: Totals) -> LocalWork:
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
    sums: dict[tuple[str, str], Saving] = {}
    for local, cloud, cost, unverified in savings:
        so_far = sums.setdefault((local, cloud), Saving(local, cloud, None))
        if cost is not None:
            doubt = unverified or so_far.unverified
            sums[local, cloud] = Saving(local, cloud, Nanos((so_far.cost or 0) + cost), doubt)
    return sorted(sums.values(), key=lambda total: (-(total.cost or 0), total.local))


def _split(name: str) -> tuple[str, str]:
    service, _, model = name.partition("/")
    return service, model
