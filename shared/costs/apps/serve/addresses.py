"""Addresses: which page shows a thing, and the filters that an address carries.

>>> place = PageAddress("/abc", "/months/2026-11", {"user": "rpatel"})
>>> place.link(Ref("gpt-4o", "model", "openai/gpt-4o"))
'/abc/months/2026-11?user=rpatel&model=openai/gpt-4o'
>>> place.link(Ref("20 Nov", "day", "2026-11-20")), place.link(Ref("out/ledger", "path"))
('/abc/days/2026-11-20?user=rpatel', None)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from ...reports.document import Ref, Thing
from ...reports.spec import FILTERS

FILTER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {name.lstrip("-"): option.field for option in FILTERS.options for name in option.names}
)
"""The names that a filter has in an address, and its field: those of the options of ``report``."""

FILTER_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {option.field: option.names[0].lstrip("-") for option in FILTERS.options}
)
"""What each filter is called, in the order of ``report``."""

_FILTER_OF: Final[Mapping[Thing, str]] = MappingProxyType(
    {
        "user": "user",
        "model": "model",
        "service": "service",
        "stage": "stage",
        "operation": "category",
        "workflow": "workflow",
        "project": "project",
        "tag": "tag",
        "tier": "tier",
    }
)
_PAGE_OF: Final[Mapping[Thing, str]] = MappingProxyType(
    {
        "day": "/days/",
        "month": "/months/",
        "job": "/jobs/",
        "call": "/calls/",
        "price": "/prices/",
        "report": "/reports/",
    }
)
_KEPT: Final = frozenset({"by", *FILTER_LABELS})
"""What stays in the address on the way to a shorter or longer period."""

_READABLE: Final = "/:@,+"


class Chip(NamedTuple):
    """A filter in force, and the address without it."""

    name: str
    value: str
    without: str


class PageAddress(NamedTuple):
    """Where a page is: what all addresses begin with, its path, and the values of its address.

    ``filtering`` is the path of the page on which a name becomes a filter, where that is another one, and
    ``more`` are values that it needs. With ``narrows`` a job is a filter too.
    """

    base: str
    path: str
    values: Mapping[str, str] = MappingProxyType({})
    filtering: str = ""
    more: Mapping[str, str] = MappingProxyType({})
    narrows: bool = False

    @property
    def filters(self) -> dict[str, str]:
        """The filters in force."""
        return {name: value for name, value in self.values.items() if name in FILTER_LABELS}

    def to(self, path: str, values: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> str:
        """Return the address of a page, by its path below the base."""
        query = urlencode(values, quote_via=quote, safe=_READABLE.replace("+", ""))
        return f"{quote(self.base + path, safe=_READABLE)}{'?' if query else ''}{query}"

    def here(self, **changes: str | None) -> str:
        """Return this page's address with other values; ``None`` takes one away. A list begins anew."""
        values = {**self.values, **changes}
        first = {} if "page" in changes else {"page": None}
        return self.to(
            self.path, {name: value for name, value in {**values, **first}.items() if value is not None}
        )

    def period(self, name: str) -> str:
        """Return the address of a year, a month or a day, with the filters in force."""
        kept = {key: value for key, value in self.values.items() if key in _KEPT}
        return self.to(f"/{_KINDS[len(name)]}/{name}", kept)

    def link(self, ref: Ref) -> str | None:
        """Return the address of what a name stands for; ``None`` where no page is about it."""
        if ref.thing in _FILTER_OF:
            added = {_FILTER_OF[ref.thing]: ref.target}
            if self.filtering:
                return self.to(self.filtering, {**self.more, **added})
            return self.here(**added)
        if ref.thing == "job" and self.narrows:
            return self.here(job=ref.target)
        if ref.thing in ("day", "month"):
            return self.period(ref.target) if len(ref.target) in _KINDS else None
        page = _PAGE_OF.get(ref.thing)
        return None if page is None else self.to(f"{page}{ref.target}")

    def spend(self, of: Sequence[Ref]) -> str | None:
        """Return the address of calls that are of several things; ``None`` where no page has just those.

        >>> PageAddress("", "/budgets").spend((Ref("2026-11", "month"), Ref("customer:acme", "tag")))
        '/months/2026-11?tag=customer:acme'
        >>> PageAddress("", "/budgets").spend((Ref("job-7", "job"), Ref("asr", "stage")))
        '/calls?job=job-7&period=all&stage=asr'
        """
        filters = {_FILTER_OF[ref.thing]: ref.target for ref in of if ref.thing in _FILTER_OF}
        for ref in of:
            if ref.thing == "job":
                job = {"job": ref.target, "period": "all"}
                return self.to("/calls", {**job, **filters}) if filters else self.to(f"/jobs/{ref.target}")
            if ref.thing == "month" and len(ref.target) in _KINDS:
                return self.to(f"/{_KINDS[len(ref.target)]}/{ref.target}", filters)
        return None

    def chips(self) -> Iterator[Chip]:
        """Return the filters in force, each with the address without it."""
        for name, value in self.filters.items():
            yield Chip(FILTER_LABELS[name], value, self.here(**{name: None}))


_KINDS: Final = {4: "years", 7: "months", 10: "days"}
"""The path of a period by the length of its name."""
