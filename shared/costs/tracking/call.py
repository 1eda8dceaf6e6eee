"""One AI call as a stage script reports it, checked before anything is priced or written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict, Unpack, cast

from ..errors import FAILURES
from ..model import UNKNOWN, StatedBy, Units, Usage
from ..money import MAX_ENTRY_NANOS, Nanos, divide, from_usd
from .context import fitting, flag, name, optional_name, positive

if TYPE_CHECKING:
    from ..budgets.hold import Hold

MAX_DESCRIPTION: Final = 500


class UsageCounts(TypedDict, total=False):
    """Counts besides input and output tokens. ``Usage`` documents what each includes."""

    tokens_cached: int
    tokens_cache_write: int
    tokens_cache_write_1h: int
    tokens_reasoning: int
    tokens_audio_input: int
    tokens_audio_output: int
    tokens_audio_cached: int
    tokens_image_input: int
    tokens_image_output: int
    audio_seconds: float
    characters: int
    images: int
    pages: int
    requests: int
    web_searches: int
    preview_searches: int
    maps_searches: int
    file_searches: int
    search_units: int
    containers: int
    channels: int
    video_seconds: float
    gpu_seconds: float
    session_seconds: float
    cache_token_hours: int
    tokens_image_cached: int
    pixels: int
    billable_units: float


class EstimateDetails(UsageCounts, total=False):
    """The keyword arguments of ``estimate_cost`` besides the estimate of all tokens."""

    tokens_input: int
    tokens_output: int
    service_tier: str | None
    region: str | None


class ResponseDetails(TypedDict, total=False):
    """The details of a call besides its usage: the keyword arguments of ``log_response``.

    ``category`` is another name for ``operation``, ``batch=True`` for ``service_tier="batch"``.
    ``timestamp`` is an aware ``datetime`` or ISO 8601 text with an offset. ``actual_cost_usd`` is what
    the provider says it bills: it is the call's cost, and the cost at our prices is kept beside it. A
    zero is ignored if the usage is not free. ``region`` is where the call ran, if that region has a
    price of its own. ``reservation`` is what ``tracker.reserve(...)`` returned. ``input_digest`` identifies
    what was sent, such as a hash of it: the profile's ``guard.same_request`` counts calls that share one.
    """

    request_id: str | None
    operation: str | None
    category: str | None
    description: str | None
    workflow: str | None
    project: str | None
    tags: Iterable[str]
    attempt: int
    batch: bool
    service_tier: str | None
    region: str | None
    timestamp: datetime | str | None
    actual_cost_usd: float | str | None
    estimated: bool
    reservation: Hold | str | None
    input_digest: str | None


class CallDetails(UsageCounts, ResponseDetails, total=False):
    """The keyword arguments of ``log_usage`` besides input and output tokens.

    ``tokens_total`` is input and output together, for providers that report only their sum; it is
    split 80/20 and the entry flagged ``estimated``.
    """

    tokens_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A checked call, ready to be priced. ``at`` is ``None`` for now.

    ``stated_by`` is the source of ``actual_cost``. ``usage_known`` is ``False`` if nobody reported what was
    used, so that there is nothing to price. ``unpriced_units`` are billed units that ``usage`` has no count
    for.
    """

    service: str
    model: str
    usage: Usage
    stage: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    at: datetime | None = None
    request_id: str | None = None
    operation: str | None = None
    description: str | None = None
    workflow: str | None = None
    project: str | None = None
    tags: tuple[str, ...] = ()
    attempt: int | None = None
    service_tier: str | None = None
    region: str | None = None
    actual_cost: Nanos | None = None
    stated_by: StatedBy = "bill"
    usage_known: bool = True
    unpriced_units: Units = field(default_factory=dict)
    estimated: bool = False
    reservation: Hold | str | None = None
    input_digest: str | None = None

    @property
    def hold(self) -> Hold | None:
        """The reservation itself; ``None`` if only its id is known."""
        return None if isinstance(self.reservation, str) else self.reservation

    @property
    def reservation_id(self) -> str | None:
        """The id under which the money was reserved."""
        if isinstance(self.reservation, str):
            return self.reservation
        return self.reservation.id if self.reservation else None


def make_call(
    service: str,
    model: str,
    tokens_input: int = 0,
    tokens_output: int = 0,
    stage: str | None = None,
    metadata: Mapping[str, object] | None = None,
    **details: Unpack[CallDetails],
) -> Call:
    """Check the arguments of ``log_usage`` and return them as one object; ``None`` counts as left out.

    Raises:
        TypeError: an argument has the wrong type, or its name is unknown.
        ValueError: a count is negative, not finite or too large, a name is empty or has control
            characters, a time has no offset, or arguments contradict each other.

    >>> make_call("openai", "gpt-4o", 1000, 200, batch=True).service_tier
    'batch'
    """
    if not details:
        return Call(
            service=name("service", service),
            model=name("model", model),
            usage=Usage(tokens_input=tokens_input, tokens_output=tokens_output),
            stage=optional_name("stage", stage),
            metadata={} if metadata is None else _metadata(metadata),
        )
    _refuse_unknown(details)
    details = cast("CallDetails", {key: value for key, value in details.items() if value is not None})
    usage, split = _usage(tokens_input, tokens_output, details)
    return Call(
        service=name("service", service),
        model=name("model", model),
        usage=usage,
        stage=optional_name("stage", stage),
        metadata={} if metadata is None else _metadata(metadata),
        at=_instant(details.get("timestamp")),
        request_id=optional_name("request_id", details.get("request_id")),
        operation=_operation(details),
        description=_description(details.get("description")),
        workflow=optional_name("workflow", details.get("workflow")),
        project=optional_name("project", details.get("project")),
        tags=tag_names(details.get("tags", ())),
        attempt=positive("attempt", details.get("attempt")),
        service_tier=_service_tier(details),
        region=optional_name("region", details.get("region")),
        actual_cost=_actual_cost(details.get("actual_cost_usd")),
        estimated=flag("estimated", details.get("estimated", False)) or split,
        reservation=_reservation(details.get("reservation")),
        input_digest=optional_name("input_digest", details.get("input_digest")),
    )


def reported_call(
    service: str,
    model: str,
    tokens_input: int | None = 0,
    tokens_output: int | None = 0,
    stage: str | None = None,
    metadata: Mapping[str, object] | None = None,
    **details: Unpack[CallDetails],
) -> Call:
    """As :func:`make_call`, for a call that was made: a count of ``None`` was not reported.

    Its usage is unknown if its input or output was not reported, or if no count was.

    >>> reported_call("openai", "gpt-4o", 1000, 200, tokens_cached=None).usage_known  # type: ignore[arg-type]
    True
    >>> reported_call("openai", "whisper-1", audio_seconds=None).usage_known  # type: ignore[arg-type]
    False
    """
    unstated = list[str]()
    if details:
        unstated += [key for key in details.keys() & _STATED if details[key] is None]  # type: ignore[literal-required]  # the keys are those of CallDetails
    if tokens_input is not None and tokens_output is not None and not unstated:
        return make_call(service, model, tokens_input, tokens_output, stage, metadata, **details)
    for key in unstated:
        del details[key]  # type: ignore[misc]  # likewise
    call = make_call(service, model, tokens_input or 0, tokens_output or 0, stage, metadata, **details)
    is_known = tokens_input is not None and tokens_output is not None and not call.usage.is_zero
    return call if is_known else replace(call, usage_known=False)


def split_total(tokens_total: int) -> tuple[int, int]:
    """Split a total count of tokens into input and output, 80/20.

    The split is this project's documented assumption for providers that report only a total, and every
    entry made with it is flagged ``estimated``.

    >>> split_total(1000), split_total(3)
    ((800, 200), (2, 1))
    """
    tokens_input = divide(tokens_total * 4, 5)
    return tokens_input, tokens_total - tokens_input


def estimated_call(
    service: str, model: str, tokens_estimate: int | None = None, **details: Unpack[EstimateDetails]
) -> Call:
    """Check the arguments of ``estimate_cost`` and return them as a call that was not made.

    Raises:
        TypeError, ValueError: as :func:`make_call`.

    """
    if tokens_estimate is None:
        return make_call(service, model, **details)
    return make_call(service, model, tokens_total=tokens_estimate, **details)


def unread_call(
    response: object,
    stage: str | None,
    metadata: Mapping[str, object] | None,
    names: tuple[str | None, str | None],
    details: ResponseDetails,
    fault: BaseException,
) -> Call:
    """Return the call of a response that cannot be read now, as one of unknown usage.

    The usage that the response states is kept in the metadata, to be priced by hand.
    ``names`` are the service and the model, if the caller gave them.

    Raises:
        TypeError, ValueError: as :func:`make_call`.

    >>> answer = {"model": "gpt-4o", "usage": {"prompt_tokens": 9}}
    >>> call = unread_call(answer, None, None, ("openai", None), {}, ImportError("no such file"))
    >>> call.model, call.usage_known, call.metadata["usage"]
    ('gpt-4o', False, {'prompt_tokens': 9})
    """
    service, model = names
    stated = _text(response, "model")
    usage = _member(response, "usage")
    notes: dict[str, object] = {"not_read": f"{type(fault).__name__}: {fault}"}
    if isinstance(usage, Mapping):
        notes["usage"] = {str(key): value for key, value in usage.items() if isinstance(value, int)}
    given_details: ResponseDetails = {**details}
    given_details.setdefault("request_id", _text(response, "id"))
    notes |= metadata or {}
    call = make_call(
        service or UNKNOWN, model or stated or UNKNOWN, stage=stage, metadata=notes, **given_details
    )
    return replace(call, usage_known=False)


def _member(response: object, name: str) -> object:
    """Return a member of a response; ``None`` if reading it fails, as it may have failed before."""
    with suppress(*FAILURES):
        return response.get(name) if isinstance(response, Mapping) else getattr(response, name, None)
    return None


def _text(response: object, name: str) -> str | None:
    value = _member(response, name)
    return fitting(value) if isinstance(value, str) else None


_DETAIL_NAMES: Final = frozenset(CallDetails.__annotations__)  # with those of its bases
_COUNT_NAMES: Final = frozenset(UsageCounts.__annotations__)
_STATED: Final = _COUNT_NAMES | {"tokens_total"}


def _refuse_unknown(details: Mapping[str, object]) -> None:
    for unknown in details.keys() - _DETAIL_NAMES:
        from difflib import get_close_matches  # only a mistake pays for it

        near = get_close_matches(unknown, _DETAIL_NAMES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(_DETAIL_NAMES))}"
        raise TypeError(f"{unknown!r} is not an argument of log_usage{hint}")


def _usage(tokens_input: int, tokens_output: int, details: CallDetails) -> tuple[Usage, bool]:
    """Return the counts, and whether a total had to be split."""
    counts: UsageCounts = {key: details[key] for key in details.keys() & _COUNT_NAMES}  # type: ignore[assignment, literal-required]  # the keys are those of UsageCounts
    if "tokens_total" not in details:
        return Usage(tokens_input=tokens_input, tokens_output=tokens_output, **counts), False
    if tokens_input or tokens_output:
        raise ValueError("give tokens_total, or tokens_input and tokens_output, not both")
    total = Usage(tokens_input=details["tokens_total"]).tokens_input  # checked like any other count
    split_input, split_output = split_total(total)
    return Usage(tokens_input=split_input, tokens_output=split_output, **counts), True


def _metadata(metadata: object) -> Mapping[str, object]:
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping, not {metadata!r}")
    return metadata


def _instant(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = _parse_instant(value)
    if not isinstance(value, datetime):
        raise TypeError(f"timestamp must be a datetime or ISO 8601 text, not {value!r}")
    if value.tzinfo is None:
        raise ValueError(f"timestamp {value.isoformat()} has no time zone; add an offset, for example +00:00")
    try:
        at = value.astimezone(UTC)
    except OverflowError:
        at = None
    if at is None or at.year not in _YEARS:
        years = f"{_YEARS.start} to {_YEARS.stop - 1}"
        raise ValueError(f"timestamp {value.isoformat()} is outside the years {years} in UTC")
    return at


_YEARS: Final = range(1000, 9999)
"""The years whose months can be reported: no report of a job or a month could include another."""


def _parse_instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"timestamp {text!r} is not ISO 8601, such as 2026-11-22T09:30:00+00:00") from None


def _operation(details: CallDetails) -> str | None:
    operation = optional_name("operation", details.get("operation"))
    category = optional_name("category", details.get("category"))
    if operation and category and operation != category:
        raise ValueError(f"operation={operation!r} and category={category!r} are two names of one thing")
    return operation or category


def _description(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise TypeError(f"description must be text, not {value!r}")
    printable = "".join(c if c.isprintable() else " " for c in value)
    return printable[:MAX_DESCRIPTION]


def tag_names(value: object) -> tuple[str, ...]:
    """Check tags and return them sorted, each once."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"tags must be a list of texts, not {value!r}")
    tags = tuple(sorted({name("tags", tag) for tag in value}))
    if any("," in tag for tag in tags):
        raise ValueError(f"a tag must have no comma: {tags!r}")
    return tags


def _service_tier(details: CallDetails) -> str | None:
    tier = details.get("service_tier")
    if flag("batch", details.get("batch", False)):
        if tier not in (None, "batch"):
            raise ValueError(f"batch=True and service_tier={tier!r} contradict each other")
        return "batch"
    return optional_name("service_tier", tier)


def _reservation(value: object) -> Hold | str | None:
    if value is None or isinstance(value, str):
        return optional_name("reservation", value)
    from ..budgets.hold import Hold  # imported already by whoever has one

    if not isinstance(value, Hold):
        raise TypeError(f"reservation must be what a tracker.reserve block gave, or its id, not {value!r}")
    return value


def _actual_cost(value: object) -> Nanos | None:
    if value is None:
        return None
    try:
        cost = from_usd(value)  # type: ignore[arg-type]  # it refuses what is not a number
    except TypeError:
        raise TypeError(f"actual_cost_usd must be a number, not {value!r}") from None
    if not 0 <= cost <= MAX_ENTRY_NANOS:
        raise ValueError(f"actual_cost_usd must be between 0 and 1,000,000, not {value!r}")
    return cost
