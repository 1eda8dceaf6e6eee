"""Which sources have a price for a model, by whatever name a call gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from .book import PriceBook
from .genai import SOURCE as GENAI
from .genai import GenaiPrices
from .names import KNOWN_SERVICES, generations, infer_service, normalize_model_name, normalize_service
from .rates import PriceList

_ROUTERS: Final = frozenset({"", "litellm", "langchain", "llm", "unknown"})
"""Services that pass a call on: who serves it is seen from the model's name."""


class Offer(NamedTuple):
    """What one source says about a model. ``service`` is the one that was asked, ``name`` the model's.

    ``vague`` tells that the model was named by its family alone.
    """

    source: str
    version: str
    prices: PriceList
    service: str
    name: str
    vague: bool = False


class Offers:
    """Finds what each source says about a model. What it has found, it keeps."""

    def __init__(
        self,
        own: PriceBook,
        overrides: PriceBook | None,
        genai: GenaiPrices | None,
        aliases: Mapping[str, str],
    ) -> None:
        self._own = own
        self._books = [book for book in (overrides, own) if book is not None]
        self._genai = genai
        self._services = KNOWN_SERVICES | {name.partition("/")[0] for b in self._books for name in b.names()}
        self._aliases = {
            **own.aliases,
            **(overrides.aliases if overrides else {}),
            **{name.strip().lower(): target.strip().lower() for name, target in aliases.items()},
        }
        self._found: dict[tuple[str, str], tuple[Offer, ...]] = {}

    def of(self, service: str, model: str) -> Iterator[Offer]:
        """Yield what each source says about a model, in order of precedence.

        ``genai-prices`` is asked only when the one who reads has found nothing before.
        """
        key = (service, model)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(self._in_books(service, model))
        yield from found
        if self._genai is not None and not (found and found[0].prices.local):
            wanted, names = self._names(service, model)
            mine = [name for of, name in names if of == wanted]
            prices = next((p for name in mine if (p := self._genai.find(wanted, name))), None)
            if prices is not None:
                yield Offer(GENAI, self._genai.version, prices, wanted, prices.name)

    def name(self, service: str, model: str) -> str:
        """Return how a model without a price is called: ``provider/model``."""
        wanted, names = self._names(service, model)
        return f"{wanted or 'unknown'}/{names[-1][1]}"

    def _in_books(self, service: str, model: str) -> Iterator[Offer]:
        wanted, names = self._names(service, model)
        exact = f"{wanted}/{names[0][1]}"
        family = generations(names[0][1].rpartition("/")[2])
        names += [(wanted, name) for name in family]
        if wanted in self._own.local_services and not model.strip().lower().endswith("-cloud"):
            names.append(("local", "*"))
        for book in self._books:
            found = [p for of, name in dict.fromkeys(names) if (p := book.find(f"{of}/{name}"))]
            for prices in found if family else found[:1]:
                name = prices.name.replace("*", names[0][1])
                vague = bool(family) and prices.name != exact
                yield Offer(book.source, book.version, prices, wanted, name, vague)

    def _names(self, service: str, model: str) -> tuple[str, list[tuple[str, str]]]:
        """Return the service, and the names (service, model) to look for, the best first."""
        given = model.strip().lower()
        wanted = normalize_service(service)
        target = self._aliases.get(f"{wanted}/{given}") or self._aliases.get(given)
        if target is not None:
            wanted, given = self._split(target, wanted)
        if wanted in _ROUTERS:
            wanted, given = self._split(given, infer_service(given) or wanted)
        # The name as it is comes first: OpenRouter's and Together's models have a slash in theirs.
        names = [(wanted, given), (wanted, normalize_model_name(given))]
        if same := self._own.same_as.get(wanted):
            names += [(same, name) for _, name in names]
        return wanted, list(dict.fromkeys(names))

    def _split(self, name: str, service: str) -> tuple[str, str]:
        """Return service and model of a name; ``service`` where the name states none."""
        head, slash, model = name.partition("/")
        stated = normalize_service(head)
        return (stated, model) if slash and stated in self._services else (service, name)
