"""The types of a profile. Pure data; amounts in nano-dollars, ``None`` means no limit.

>>> default = Budget()
>>> default.monthly_limit, default.thresholds, default.block_at_limit
(50000000000, (80.0,), False)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from ..money import NANOS_PER_USD, Nanos
from ..periods import window_name
from .currency import Currency
from .machines import Machine
from .plans import Plan
from .tag_rules import TagRule

OnGateError = Literal["block", "allow"]
"""What a caller with a blocking limit gets when the gate cannot be read."""

OnUnpriced = Literal["block", "warn"]
"""What a caller with a blocking limit gets for a model without a known price."""

DEFAULT_MONTHLY_LIMIT: Final = Nanos(50 * NANOS_PER_USD)
DEFAULT_THRESHOLDS: Final = (80.0,)
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class RollingLimit(NamedTuple):
    """A limit on the spend within the last ``seconds``, at any time.

    >>> RollingLimit(18_000, Nanos(3_000_000_000)).name
    '5h'
    """

    seconds: int
    limit: Nanos

    @property
    def length(self) -> timedelta:
        """How long the window is."""
        return timedelta(seconds=self.seconds)

    @property
    def name(self) -> str:
        """The window's length in hours."""
        return window_name(self.length)


class Guard(NamedTuple):
    """Limits on calls that come too fast or repeat a request; ``None`` means no limit.

    The guard always denies, whether the budget's other limits block or not.

    ``usd_per_minute`` is in nano-dollars; ``same_request`` is how often one request may be sent in ten
    minutes.
    """

    usd_per_minute: Nanos | None = None
    same_request: int | None = None

    @property
    def windows(self) -> tuple[RollingLimit, ...]:
        """The limit per minute as a window; empty without one."""
        return () if self.usd_per_minute is None else (RollingLimit(60, self.usd_per_minute),)


class Budget(NamedTuple):
    """The limits of one user, or of the organisation, and what happens at them.

    ``stage_limits`` are per job, by stage; the other maps (``model_limits`` by ``service/model``) are per
    month. ``rolling`` are windows that end now. Limits on calls and tokens are counts, which do not include
    calls of local models.
    ``thresholds`` are percentages above 0 and up to 100, ascending; 100 is always alerted.
    ``reserve_cap`` is held for a call whose highest possible cost is not known.
    """

    monthly_limit: Nanos | None = DEFAULT_MONTHLY_LIMIT
    daily_limit: Nanos | None = None
    weekly_limit: Nanos | None = None
    job_limit: Nanos | None = None
    stage_limits: Mapping[str, Nanos] = _NONE
    model_limits: Mapping[str, Nanos] = _NONE
    project_limits: Mapping[str, Nanos] = _NONE
    tag_limits: Mapping[str, Nanos] = _NONE
    thresholds: tuple[float, ...] = DEFAULT_THRESHOLDS
    block_at_limit: bool = False
    notification_email: str | None = None
    notify: tuple[str, ...] = ()
    on_gate_error: OnGateError = "block"
    on_unpriced: OnUnpriced = "block"
    reserve_cap: Nanos | None = None
    workflow_limits: Mapping[str, Nanos] = _NONE
    operation_limits: Mapping[str, Nanos] = _NONE
    service_limits: Mapping[str, Nanos] = _NONE
    yearly_limit: Nanos | None = None
    rolling: tuple[RollingLimit, ...] = ()
    daily_calls: int | None = None
    monthly_calls: int | None = None
    daily_tokens: int | None = None
    monthly_tokens: int | None = None
    guard: Guard = Guard()

    def merged(self, changes: BudgetChanges) -> Budget:
        """Return this budget with ``changes`` over it, key by key, maps included.

        >>> Budget(stage_limits={"a": 1, "b": 2}).merged({"stage_limits": {"b": None}}).stage_limits
        {'a': 1}
        """
        values = {name: self._merged(name, value) for name, value in changes.items()}
        return self._replace(**values)  # type: ignore[arg-type]  # the reader typed each value by its key

    def _merged(self, name: str, value: object) -> object:
        current = getattr(self, name)
        if not isinstance(current, Mapping):
            return value
        if not isinstance(value, Mapping):
            raise TypeError(f"{name} must be a map of names to amounts, not {value!r}")
        amounts = {**current, **value}
        return {key: amount for key, amount in amounts.items() if amount is not None}


BudgetChanges = Mapping[str, object]
"""The fields of :class:`Budget` that a profile sets, with their typed values. In maps of limits
``None`` removes a limit of the defaults."""

NO_BUDGET: Final = Budget(monthly_limit=None)
"""The organisation's defaults: no limit at all."""

BUDGET_FIELDS: Final = Budget._fields

COUNT_FIELDS: Final = frozenset({"daily_calls", "monthly_calls", "daily_tokens", "monthly_tokens"})
"""The limits that are counts, not dollars."""


class UserSettings(NamedTuple):
    """The settings of one user: the user's own merged over the defaults."""

    user_id: str
    timezone: ZoneInfo
    budget: Budget


class SharedBudget(NamedTuple):
    """The PostgreSQL database through which several hosts share these budgets.

    ``url`` is a reference to its address, never the address itself: ``env:NAME`` or ``file:PATH``.
    ``lease_s`` is for how many seconds a host may use its part of a limit without reaching the database.
    """

    url: str
    lease_s: int = 120


class Profile(NamedTuple):
    """A whole profile. ``path`` is ``None`` for the defaults without a file.

    ``aliases`` maps the user's own model names (an Azure deployment, say) to catalogue names.
    ``extras`` holds the top-level keys that begin with ``x-``: they are the user's own. ``billing_day`` is
    the day on which months begin, for everybody; in a shorter month, its last day. ``shared`` is ``None``
    where the budgets are this host's alone. ``machines`` and ``plans`` are by name.
    ``currency`` is the one in which reports show amounts, if not US dollars. ``tag_rules`` are
    in their order.
    """

    path: Path | None = None
    timezone: ZoneInfo = ZoneInfo("UTC")
    budget: Budget = Budget()
    organization: Budget = NO_BUDGET
    users: Mapping[str, UserSettings] = _NONE
    aliases: Mapping[str, str] = _NONE
    extras: Mapping[str, object] = _NONE
    billing_day: int = 1
    shared: SharedBudget | None = None
    machines: Mapping[str, Machine] = _NONE
    plans: Mapping[str, Plan] = _NONE
    currency: Currency | None = None
    tag_rules: tuple[TagRule, ...] = ()

    def for_user(self, user_id: str | int) -> UserSettings:
        """Return the settings of a user; one who is not in the profile has the defaults.

        >>> Profile().for_user(1).user_id
        '1'
        """
        key = str(user_id)
        return self.users.get(key) or UserSettings(key, self.timezone, self.budget)

    @property
    def prices_path(self) -> Path | None:
        """The path of the user's own prices, which may not exist: ``prices.yaml`` beside the profile."""
        return self.path.with_name("prices.yaml") if self.path else None

    @property
    def source(self) -> str:
        """The profile's path, or that there is none, as ``show-budget`` and ``doctor`` show it."""
        return str(self.path) if self.path else "defaults, no file"
