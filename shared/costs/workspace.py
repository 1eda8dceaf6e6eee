"""The storage, profile, prices and index of one cost storage, each opened when it is first needed.

Both the tracker and the dashboard start from here. A stage process that logs one call loads only
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
from .errors import FilePosition, FileRefused, PriceFileError, ProfileError
from .forks import lock_of
from .storage import CostStorage

if TYPE_CHECKING:
    from .budgets.gate import Gate
    from .budgets.port import Holds, Notices, RequestCounter
    from .fleet.fleet import Fleet
    from .pricing.catalogue import Catalogue
    from .profile.types import Profile, SharedBudget
    from .store.store import Store

Clock = Callable[[], datetime]

T = TypeVar("T")

PRICES_NAME = "prices.yaml"

LOOK_S: Final = 0.5
"""How long the profile and the prices are used before their files are checked again, in seconds.

Three checks per call would take 20 us. Edits by other processes take effect here with this delay, for the
gate too."""


def utc_now() -> datetime:
    """Return the present instant, in UTC."""
    return datetime.now(UTC)  # the name is looked up at each call, since freezegun replaces ``datetime``


class LoadedProfile(NamedTuple):
    """The profile in force; where ``fault`` is set, the defaults, and why it is not the user's own.

    ``loosened`` are sentences on blocking limits that an edit of the last day has loosened.
    """

    profile: Profile
    fault: ProfileError | None = None
    loosened: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Which profile is in use, for people: its path, or ``defaults, no file``."""
        if self.fault:
            return f"defaults, because the profile is refused: {self.fault}"
        return self.profile.source


class LoadedCatalogue(NamedTuple):
    """The prices in force; where ``fault`` is set, without the user's own, and why."""

    catalogue: Catalogue
    fault: FileRefused | None = None


class _Cached(NamedTuple, Generic[T]):
    """A value from files, and how long it is used: to an instant of ``time.monotonic``, and while this
    process has edited none of them.
    """

    until: float
    edits: int
    value: T

    def is_fresh(self) -> bool:
        """Return whether the value may still be used."""
        return time.monotonic() < self.until and self.edits == small_file.edits


class Workspace:
    """Everything that one process uses of one cost storage.

    Args:
        cost_storage_path: the storage's directory; ``None`` for the environment's or the platform's.
        profile_path: the profile file; ``None`` for the environment's or the usual places.
        environ: the environment variables; ``None`` for this process's own.
        clock: returns the present time, in UTC.

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
        self._cached_profile: _Cached[LoadedProfile] | None = None
        self._cached_path: _Cached[Path | None] | None = None
        self._prices_path: Path | None = None
        self._versions: dict[Path | None, _Cached[object]] = {}
        self._catalogue: tuple[object, LoadedCatalogue] | None = None
        self._cached_catalogue: _Cached[LoadedCatalogue] | None = None
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
        """The path of the profile, or of the named one that is missing; ``None`` if there is no file."""
        cached = self._cached_path
        # A path stays the same once it was found; where there is no profile, there may be one later.
        if cached is None or (cached.value is None and not cached.is_fresh()):
            cached = self._cached_path = _read_cached(self._find_profile)
        return cached.value

    def _find_profile(self) -> Path | None:
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
        """Return the profile in force; the defaults, with the fault, if the file is refused.

        The file is read again after a change: a worker that runs for days follows an edit within
        :data:`LOOK_S`.
        """
        cached = self._cached_profile
        if cached is not None and cached.is_fresh():
            return cached.value
        path = self.profile_path
        version = self._version(path)
        with self._lock:
            if self._profile is None or self._profile[0] != version.value:
                self._profile = (version.value, _load_profile(path, self.storage))
            loaded = self._profile[1]
        until = version.until if path is not None or self._cached_path is None else self._cached_path.until
        self._cached_profile = _Cached(min(until, version.until), version.edits, loaded)
        return loaded

    @property
    def profile(self) -> Profile:
        """The profile in force.

        Raises:
            ProfileError: the user's file is refused. Recording falls back to the defaults with
                :meth:`loaded_profile`; callers that must know the limits may not.

        """
        loaded = self.loaded_profile()
        if loaded.fault:
            raise loaded.fault
        return loaded.profile

    @property
    def prices_path(self) -> Path | None:
        """The path of the user's own prices, beside the profile."""
        path = self.profile_path
        if self._prices_path is None and path is not None:
            self._prices_path = path.parent / PRICES_NAME
        return self._prices_path

    def loaded_catalogue(self) -> LoadedCatalogue:
        """Return the price catalogue, with the user's own prices over it unless they are refused."""
        cached = self._cached_catalogue
        if cached is not None and cached.is_fresh():
            return cached.value
        prices = self.prices_path
        aliases, version = self.loaded_profile().profile.aliases, self._version(prices)
        signature = (version.value, aliases)
        with self._lock:
            if self._catalogue is None or self._catalogue[0] != signature:
                self._catalogue = (signature, _load_catalogue(self.storage, prices, aliases))
            loaded = self._catalogue[1]
        until = self._cached_profile.until if self._cached_profile is not None else 0.0
        self._cached_catalogue = _Cached(min(until, version.until), version.edits, loaded)
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

    def _version(self, path: Path | None) -> _Cached[object]:
        """Return the version of a file as it was at most ``LOOK_S`` ago.

        This process's own edits are seen at once.
        """
        cached = self._versions.get(path)
        if cached is None or not cached.is_fresh():
            cached = self._versions[path] = _read_cached(partial(_signature, path))
        return cached

    @property
    def holds(self) -> Holds:
        """The holds of this storage, or those under leases if other hosts share its budgets."""
        if (fleet := self.fleet) is not None:
            return fleet.holds
        from .store.holds import LocalHolds
        from .store.presence import presence_in

        return LocalHolds(self.index, presence_in(self.storage.writers_dir), self.clock)

    @property
    def fleet(self) -> Fleet | None:
        """The hosts that share these budgets; ``None`` if they are this host's alone."""
        profile = self.loaded_profile().profile
        settings = profile.shared
        if settings is None:
            return None
        with self._lock:
            if self._fleet is None or self._fleet.settings != settings:
                from .fleet.fleet import ThisHost, fleet_of

                beside = profile.path.parent if profile.path else None
                this_host = ThisHost(
                    self.storage,
                    self.environ,
                    beside,
                    self.clock,
                    self.catalogue_name,
                    lambda: self.loaded_profile().profile,
                    lambda: self.index,
                )
                self._fleet = fleet_of(settings, this_host)
            return self._fleet

    @property
    def requests(self) -> RequestCounter:
        """The counts of recent requests, by all processes that use this storage."""
        from .store.state import LocalRequests

        return LocalRequests(self.index.state)

    @property
    def notices(self) -> Notices:
        """The sent alerts and the queue of notices of this storage."""
        from .store.state import LocalNotices

        return LocalNotices(self.index.state)

    @property
    def index(self) -> Store:
        """The sums of this storage's ledgers, shared by all users of it in this process."""
        if (opened := self._index) is not None:
            return opened
        with self._lock:
            if self._index is None:
                from .store.store import Store

                with suppress(OSError):  # the store reports what it cannot use when it is used
                    self.storage.prepare()
                self._index = Store.of(self.storage)
            return self._index

    @property
    def gate(self) -> Gate:
        """The gate that holds money before calls are sent, for all jobs of this storage."""
        settings = self.loaded_profile().profile.shared
        with self._lock:
            if self._gate is None or self._gate_for != settings:
                from .budgets.gate import Gate

                if self._gate is not None:
                    self._gate.close()
                self._gate = Gate(self.holds, clock=self.clock, names=self.catalogue_name)
                self._gate_for = settings
            return self._gate

    def publish(self, ledger: Path) -> None:
        """Publish a ledger's new lines to the hosts that share the budgets, in the background."""
        cached = self._cached_profile  # usually the logged call has just loaded it
        if cached is not None and cached.is_fresh() and cached.value.profile.shared is None:
            return
        if (fleet := self.fleet) is not None:
            fleet.agent.logged(ledger)

    def close(self) -> None:
        """Close what was opened; the workspace may be used again and then opens it anew."""
        with self._lock:
            if self._gate is not None:
                self._gate.close()
                self._gate = None
            self._fleet = None  # it runs until the process ends, since other workspaces may use it
            if self._index is not None:
                self._index.close()
                self._index = None


def _read_cached(read: Callable[[], T]) -> _Cached[T]:
    until, edits = time.monotonic() + LOOK_S, small_file.edits
    return _Cached(until, edits, read())


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
        refusal = PriceFileError(FilePosition(prices), f"cannot be read: {fault}", "make it readable")
    return LoadedCatalogue(Catalogue.load(storage, None, aliases), refusal)


def _signature(path: Path | None) -> object:
    """Return a value that differs between versions of a file, at the cost of one ``stat``."""
    # Checked first, because a missing file would cost an exception at every call.
    if path is not None and os.access(path, os.F_OK):
        with suppress(OSError):
            status = os.stat(path)
            return (path, status.st_mtime_ns, status.st_size, status.st_ino)
    return (path,)
