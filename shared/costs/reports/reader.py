"""What reports read from: one cost storage with its profile and prices, at one instant; how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

from ..errors import WrongUsage
from ..storage import CostStorage
from ..workspace import LoadedCatalogue, LoadedProfile, Workspace

if TYPE_CHECKING:
    from ..budgets.gate import Gate
    from ..budgets.port import Notices
    from ..fleet.fleet import Fleet
    from ..ledger.lines import LedgerProblem
    from ..pricing.catalogue import Catalogue
    from ..profile.types import Profile
    from ..store.annotations import Acknowledged
    from ..store.store import Store

T = TypeVar("T")

_REPORT_EVERY: Final = 500


class ProgressCallback(Protocol):
    """Called with how much is done, and of how much."""

    def __call__(self, done: int, total: int) -> None:
        """Show it."""
        ...


def telling(items: Iterable[T], advance: Callable[[int], None]) -> Iterator[T]:
    """Pass items on, and report now and then how many there were.

    >>> numbers: list[int] = []
    >>> len(list(telling(range(1_234), numbers.append))), numbers
    (1234, [500, 1000])
    """
    for done, item in enumerate(items, 1):
        yield item
        if not done % _REPORT_EVERY:
            advance(done)


def in_turn(readings: Iterable[tuple[Iterable[T], int]], advance: ProgressCallback) -> Iterator[Iterator[T]]:
    """Pass on several readings, each with its size, one after the other; report their progress as one.

    >>> calls: list[tuple[int, int]] = []
    >>> both = in_turn([(range(600), 600), (range(600), 600)], lambda *done: calls.append(done))
    >>> [len(list(items)) for items in both], calls
    ([600, 600], [(500, 1200), (1100, 1200)])
    """
    readings = list(readings)
    before, whole = 0, sum(size for _, size in readings)
    for items, size in readings:
        yield telling(items, partial(_tell, advance, before, whole))
        before += size


def _tell(advance: ProgressCallback, before: int, whole: int, done: int) -> None:
    advance(before + done, whole)


Progress = Callable[[str], AbstractContextManager[ProgressCallback]]
"""Shows how far long work is: given a label, it yields what is called with the amounts done and in all."""


@contextmanager
def silent(_label: str) -> Iterator[ProgressCallback]:
    """Show no progress."""
    yield lambda _done, _total: None


class Reader:
    """What a report may read: sums and entries, limits, prices, and the present instant.

    ``now`` stays the same for all questions of one report, so that its parts agree. ``progress`` shows how
    far long work is; without it nothing is shown.
    """

    def __init__(self, workspace: Workspace, progress: Progress = silent) -> None:
        self._workspace = workspace
        self.now: datetime = workspace.clock()
        self.progress = progress

    is_shared: bool = False
    """Whether the sums are those of all hosts that share the budgets: then there are no entries to read."""

    @property
    def index(self) -> Store:
        """The sums and entries of all known ledgers."""
        return self._workspace.index

    @property
    def tagged(self) -> Store:
        """:attr:`index` where calls have the tags of the profile's ``tag_rules`` too: for who asks for tags.

        Limits ask :attr:`index`: they tell by themselves which calls have their tag by rule.
        """
        rules = self.loaded_profile().profile.tag_rules
        if not rules:
            return self.index
        from .ruled import TagRuledReader  # only with rules

        return cast("Store", TagRuledReader(self.index, rules))

    @property
    def fleet(self) -> Fleet | None:
        """The hosts that share the budgets; ``None`` where they are of this host alone."""
        return self._workspace.fleet

    @property
    def storage(self) -> CostStorage:
        """Where the storage's files lie."""
        return self._workspace.storage

    @property
    def gate(self) -> Gate:
        """What is held for calls in progress."""
        return self._workspace.gate

    @property
    def notices(self) -> Notices:
        """The alerts that were sent, and those still waiting."""
        return self._workspace.notices

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables."""
        return self._workspace.environ

    @property
    def default_user(self) -> str:
        """The user whom a question without one is about."""
        # As the tracker has it; importing that for two words would take 4 ms.
        return self.environ.get("COST_TRACKER_USER") or "1"

    @property
    def profile(self) -> Profile:
        """The profile in force; raises ``ProfileError`` where the user's own is refused."""
        return self._workspace.profile

    @property
    def acknowledged(self) -> Acknowledged:
        """The damaged lines that somebody has looked at."""
        from ..store.annotations import Acknowledged

        return Acknowledged(self._workspace.storage)

    def problems(self) -> list[LedgerProblem]:
        """Return what is wrong in the ledgers, and was not acknowledged."""
        problems = self.index.problems()
        return self.acknowledged.left(problems) if problems else []

    @property
    def billing_day(self) -> int:
        """The day on which months begin; raises as :attr:`profile` does."""
        return self.profile.billing_day

    def loaded_profile(self) -> LoadedProfile:
        """Return the profile in force, and why it is not the user's own if it is not."""
        return self._workspace.loaded_profile()

    @property
    def profile_path(self) -> Path | None:
        """Where the profile lies, ``None`` without one."""
        return self._workspace.profile_path

    @property
    def prices_path(self) -> Path | None:
        """Where the user's own prices lie or would lie, ``None`` without a profile."""
        return self._workspace.prices_path

    @property
    def catalogue(self) -> Catalogue:
        """The price catalogue; raises ``FileRefused`` where the user's own prices are refused."""
        return self._workspace.catalogue

    def loaded_catalogue(self) -> LoadedCatalogue:
        """Return the prices in force, and why the user's own are not among them if they are not."""
        return self._workspace.loaded_catalogue()

    def catalogue_name(self, service: str, model: str) -> str:
        """Return the catalogue's ``provider/model`` for a service and model as recorded."""
        return self._workspace.catalogue_name(service, model)


class SharedReader(Reader):
    """What a report may read of all hosts that share the budgets: their sums, not their entries.

    Raises:
        WrongUsage: the profile names no shared database.

    """

    is_shared = True

    @property
    def index(self) -> Store:
        """The sums of all hosts. They have what reports of sums ask; entries stay on their hosts."""
        return cast("Store", self.hosts.sums)

    @property
    def hosts(self) -> Fleet:
        """The hosts."""
        fleet = self.fleet
        if fleet is None:
            raise WrongUsage(
                "--shared needs a database: write shared: {url: env:COST_TRACKER_SHARED} into the profile"
            )
        return fleet

    def problems(self) -> list[LedgerProblem]:
        """Return none: each host knows its own."""
        return []
