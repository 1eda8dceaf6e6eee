"""Storage, profile, prices and index of one cost storage, each opened when it is first needed.

Both the tracker and the dashboard start from here. A stage process that logs one call pays only for
what that call uses.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from . import small_file
from .errors import FileRefused, Place, PriceFileError, ProfileError
from .forks import lock_of
from .storage import CostStorage

if TYPE_CHECKING:
    from .budgets.gate import Gate
    from .budgets.port import Holds, Notices, Requests
    from .fleet.fleet import Fleet
    from .pricing.catalogue import Catalogue
    from .profile.types import Profile, SharedBudget
    from .store.store import Store

Clock = Callable[[], datetime]

T = TypeVar("T")

PRICES_NAME = "prices.yaml"

LOOK_S: Final = 0.5
"""How long a look at the profile and the prices is believed, in seconds: three looks a call take 20 us.

What another process edits is so much later in force here, for the gate too."""


def utc_now() -> datetime:
    """Return the present instant, in UTC."""
    return datetime.now(UTC)  # looked up at each call: freezegun puts another ``datetime`` in its place


class LoadedProfile(NamedTuple):
    """The profile in force, and why it is not the user's own where ``fault`` is set.

    ``loosened`` says which limits that blocked an edit of the last day has let go.
    """

    profile: Profile
    fault: ProfileError | None = None
    loosened: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """How people are told which profile is in use: its path, or ``defaults, no file``."""
        if self.fault:
            return f"defaults, because the profile is refused: {self.fault}"
        return self.profile.source


class LoadedCatalogue(NamedTuple):
    """The prices in force, and why the user's own are not among them where ``fault`` is set."""

    catalogue: Catalogue
    fault: FileRefused | None = None


class _Look(NamedTuple, Generic[T]):
    """What a look at files found, and how long it is believed: to an instant of ``time.monotonic``, and
    while this process has edited none.
    """

    until: float
    edits: int
    found: T

    def holds(self) -> bool:
        """Tell whether it is believed still."""
        return time.monotonic() < self.until and self.edits == small_file.edits


class Workspace:
    """What one process needs of one cost storage.

    Args:
        cost_storage_path: the storage's directory; ``None`` for the environment's or the platform's.
        profile_path: the profile file; ``None`` for the environment's or the usual places.
        environ: the environment variables; ``None`` for this process's own.
        clock: where the present time comes from, in UTC.

    """

    def __init__(
        self,
        cost_storage_path: str | Path | None = None,
        profile_path: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.environ = os.environ if environ is None else environ
        self.storage = CostStorage.locate(cost_storage_path, self.environ)
        self.clock = clock
        self._profile_argument = profile_path
        self._profile: tuple[object, LoadedProfile] | None = None
        self._profile_look: _Look[LoadedProfile] | None = None
        self._place: _Look[Path | None] | None = None
        self._prices_path: Path | None = None
        self._versions: dict[Path | None, _Look[object]] = {}
        self._catalogue: tuple[object, LoadedCatalogue] | None = None
        self._catalogue_look: _Look[LoadedCatalogue] | None = None
        self._index: Store | None = None
        self._gate: Gate | None = None
        self._gate_for: SharedBudget | None = None
        self._fleet: Fleet | None = None
        self._lock = lock_of(self, "_lock")

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def profile_path(self) -> Path | None:
        """Where the profile lies, or would be read from; ``None`` when there is no file."""
        look = self._place
        # One that was found stays the one; where there is none, there may be one later.
        if look is None or (look.found is None and not look.holds()):
            look = self._place = _looked(self._found_profile)
        return look.found

    def _found_profile(self) -> Path | None:
        from .memory import Memory
        from .profile import blocked_before, find_profile

        memory = Memory(self.storage.profile_memory)
        return find_profile(
            self._profile_argument,
            self.environ,
            Path.cwd(),
            self.storage.root,
            lambda path: blocked_before(path, memory),
        )

    def loaded_profile(self) -> LoadedProfile:
        """Return the profile in force; the defaults, with the fault, when the file is refused.

        The file is read again when it has changed: a worker that runs for days follows an edit within
        :data:`LOOK_S`.
        """
        look = self._profile_look
        if look is not None and look.holds():
            return look.found
        path = self.profile_path
        version = self._version(path)
        with self._lock:
            if self._profile is None or self._profile[0] != version.found:
                self._profile = (version.found, _load_profile(path, self.storage))
            loaded = self._profile[1]
        until = version.until if path is not None or self._place is None else self._place.until
        self._profile_look = _Look(min(until, version.until), version.edits, loaded)
        return loaded

    @property
    def profile(self) -> Profile:
        """The profile in force.

        Raises:
            ProfileError: the user's file is refused. Recording falls back to the defaults with
                :meth:`loaded_profile`; whoever must know the limits may not.

        """
        loaded = self.loaded_profile()
        if loaded.fault:
            raise loaded.fault
        return loaded.profile

    @property
    def prices_path(self) -> Path | None:
        """Where the user's own prices lie: beside the profile."""
        path = self.profile_path
        if self._prices_path is None and path is not None:
            self._prices_path = path.parent / PRICES_NAME
        return self._prices_path

    def loaded_catalogue(self) -> LoadedCatalogue:
        """Return the price catalogue, with the user's own prices over it unless they are refused."""
        look = self._catalogue_look
        if look is not None and look.holds():
            return look.found
        prices = self.prices_path
        aliases, version = self.loaded_profile().profile.aliases, self._version(prices)
        signature = (version.found, aliases)
        with self._lock:
            if self._catalogue is None or self._catalogue[0] != signature:
                self._catalogue = (signature, _load_catalogue(self.storage, prices, aliases))
            loaded = self._catalogue[1]
        until = self._profile_look.until if self._profile_look is not None else 0.0
        self._catalogue_look = _Look(min(until, version.until), version.edits, loaded)
        return loaded

    @property
    def catalogue(self) -> Catalogue:
        """The price catalogue.

        Raises:
            FileRefused: the user's ``prices.yaml`` is refused.

        """
        loaded = self.loaded_catalogue()
        if loaded.fault:
            raise loaded.fault
        return loaded.catalogue

    def catalogue_name(self, service: str, model: str) -> str:
        """Return the catalogue's ``provider/model`` for a service and model as recorded."""
        return self.loaded_catalogue().catalogue.name(service, model)

    def _version(self, path: Path | None) -> _Look[object]:
        """Return what tells one version of a file from another, as it was at most ``LOOK_S`` ago.

        What this process edited itself it sees at once.
        """
        known = self._versions.get(path)
        if known is None or not known.holds():
            known = self._versions[path] = _looked(partial(_signature, path))
        return known

    @property
    def holds(self) -> Holds:
        """The holds of this storage; under leases where other hosts share its budgets."""
        if (fleet := self.fleet) is not None:
            return fleet.holds
        from .store.holds import LocalHolds
        from .store.presence import presence_in

        return LocalHolds(self.index, presence_in(self.storage.writers_dir), self.clock)

    @property
    def fleet(self) -> Fleet | None:
        """The hosts that share these budgets; ``None`` where they are of this host alone."""
        profile = self.loaded_profile().profile
        settings = profile.shared
        if settings is None:
            return None
        with self._lock:
            if self._fleet is None or self._fleet.settings != settings:
                from .fleet.fleet import ThisHost, fleet_of

                beside = profile.path.parent if profile.path else None
                here = ThisHost(
                    self.storage,
                    self.environ,
                    beside,
                    self.clock,
                    self.catalogue_name,
                    lambda: self.loaded_profile().profile,
                    lambda: self.index,
                )
                self._fleet = fleet_of(settings, here)
            return self._fleet

    @property
    def requests(self) -> Requests:
        """How often requests were sent lately, by all processes that use this storage."""
        from .store.state import LocalRequests

        return LocalRequests(self.index.state)

    @property
    def notices(self) -> Notices:
        """The alerts that were told, and the queue of notices, of this storage."""
        from .store.state import LocalNotices

        return LocalNotices(self.index.state)

    @property
    def index(self) -> Store:
        """The sums of this storage's ledgers, which all that use it in this process share."""
        if (opened := self._index) is not None:
            return opened
        with self._lock:
            if self._index is None:
                from .store.store import Store

                with suppress(OSError):  # the store says what it cannot use, when it is used
                    self.storage.prepare()
                self._index = Store.of(self.storage)
            return self._index

    @property
    def gate(self) -> Gate:
        """What holds money before calls are sent, for all jobs of this storage."""
        settings = self.loaded_profile().profile.shared
        with self._lock:
            if self._gate is None or self._gate_for != settings:
                from .budgets.gate import Gate

                if self._gate is not None:
                    self._gate.close()
                self._gate = Gate(self.holds, clock=self.clock, names=self.catalogue_name)
                self._gate_for = settings
            return self._gate

    def logged(self, ledger: Path) -> None:
        """Have what was logged told to the hosts that share the budgets, in the background."""
        look = self._profile_look  # most often the call that was logged has asked for it just now
        if look is not None and look.holds() and look.found.profile.shared is None:
            return
        if (fleet := self.fleet) is not None:
            fleet.agent.logged(ledger)

    def close(self) -> None:
        """Close what was opened; the workspace may be used again and opens it anew."""
        with self._lock:
            if self._gate is not None:
                self._gate.close()
                self._gate = None
            self._fleet = None  # it goes on until the process ends: others of the process may use it
            if self._index is not None:
                self._index.close()
                self._index = None


def _looked(look: Callable[[], T]) -> _Look[T]:
    until, edits = time.monotonic() + LOOK_S, small_file.edits
    return _Look(until, edits, look())


def _load_profile(path: Path | None, storage: CostStorage) -> LoadedProfile:
    from .memory import Memory
    from .profile import load_profile, load_remembered

    try:
        remembered = load_remembered(path, Memory(storage.profile_memory))
        return LoadedProfile(remembered.profile, None, remembered.loosened)
    except ProfileError as fault:
        return LoadedProfile(load_profile(None), fault)


def _load_catalogue(storage: CostStorage, prices: Path | None, aliases: Mapping[str, str]) -> LoadedCatalogue:
    from .pricing.catalogue import Catalogue

    try:
        return LoadedCatalogue(Catalogue.load(storage, prices, aliases))
    except FileRefused as fault:
        refusal = fault
    except OSError as fault:
        if prices is None:
            raise
        refusal = PriceFileError(Place(prices), f"cannot be read: {fault}", "make it readable")
    return LoadedCatalogue(Catalogue.load(storage, None, aliases), refusal)


def _signature(path: Path | None) -> object:
    """Tell one version of a file from another, as cheaply as one ``stat``."""
    # Asked first, because a file that is not there would cost an exception at every call.
    if path is not None and os.access(path, os.F_OK):
        with suppress(OSError):
            found = os.stat(path)
            return (path, found.st_mtime_ns, found.st_size, found.st_ino)
    return (path,)
