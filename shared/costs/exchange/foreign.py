"""Turns rows of other tools into calls, reading their names for our fields tolerantly.

Names differ between tools, so each field is known under several; names outside these lists are not
used and are reported. Rules:

* Anthropic's counts (``cache_read_input_tokens``, ``cache_creation_input_tokens``) are not included in its
  input tokens and are added to them; under all other names, cached tokens are part of the input.
* A total without its parts (``total_tokens``) is split 80/20 into input and output and flagged as estimated.
* Known forms of keys and passwords in texts are removed.
* A time without a zone is read in the default zone, and counted in the report.
* A date or a month without a time makes the row a sum, not a single call.
* A row that states its cost needs no model: it counts under ``unknown``, unless a default is given.
* A row with counts below zero takes a call back. If only the amount is below zero, it is a credit, and counts
  that it repeats do not count again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from ..ledger.redact import clean_text, redact
from ..model import MAX_COUNT, UNKNOWN
from ..money import MAX_ENTRY_NANOS, Nanos, from_usd
from ..pricing.names import infer_service, service_in_name
from ..tracking.call import Call, make_call
from ..tracking.context import optional_name, user_name
from ..units import FRACTIONAL_FIELDS, USAGE_FIELDS, Kind
from .delimited import LocalNumber, UndecidedNumber
from .files import parsed
from .rows import SumOf
from .times import DateOrder, instant, iso_text, readings

_MINUS: Final = "-\N{MINUS SIGN}"
_CURRENCY: Final = r"(?:US\$|\$|USD)?"
_SIGNED: Final = re.compile(
    rf"\s*{_CURRENCY}\s*[{_MINUS}]\s*({_CURRENCY}\s*[\d.].*)", re.IGNORECASE | re.DOTALL
)
_MINUS_BEHIND: Final = re.compile(rf"\s*({_CURRENCY}\s*[\d.][\d.,' ]*)[{_MINUS}]\s*", re.IGNORECASE)
_IN_BRACKETS: Final = re.compile(
    rf"\s*{_CURRENCY}\s*\(\s*({_CURRENCY}\s*[\d.].*)\)\s*(?:USD)?\s*", re.IGNORECASE
)


def above_zero(value: object) -> object | None:
    """Return a negative number without its sign, text as text of the same class; ``None`` for anything else.

    >>> [above_zero(cell) for cell in ("-0.05", "$-1,234.50", "-$5", "(5.00)", "5.00-", -3, Decimal("-1.5"))]
    ['0.05', '1,234.50', '$5', '5.00', '5.00', 3, Decimal('1.5')]
    >>> [above_zero(cell) for cell in ("0.05", "2026-11-03", "-0", "gpt-4o", 3, None, True, "(none)")]
    [None, None, None, None, None, None, None, None]
    """
    if isinstance(value, (int, float, Decimal)):
        return -value if value < 0 else None
    if not isinstance(value, str):
        return None
    number = next(
        (match for form in (_SIGNED, _MINUS_BEHIND, _IN_BRACKETS) if (match := form.fullmatch(value))), None
    )
    if number is None or not re.search(r"[1-9]", number[1]):
        return None
    return type(value)(number[1].strip())


NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "service": ("service", "provider", "vendor", "api_provider", "platform"),
    "model": ("model", "model_name", "model_id", "model_version", "engine"),
    "timestamp": (
        *("timestamp", "time", "datetime", "date", "created_at", "created", "logged_at", "recorded_at"),
        *("called_at", "start_time", "ts", "day", "month"),
    ),
    "tokens_input": ("tokens_input", "input_tokens", "prompt_tokens", "tokens_in", "tokens_prompt"),
    "tokens_output": (
        *("tokens_output", "output_tokens", "completion_tokens", "tokens_out", "tokens_completion"),
    ),
    "tokens_total": ("tokens_total", "total_tokens", "tokens", "token_count"),
    "tokens_cached": ("tokens_cached", "cached_tokens", "input_cached_tokens", "cached_input_tokens"),
    "cache_read": ("cache_read_input_tokens", "cache_read_tokens"),
    "cache_creation": ("cache_creation_input_tokens", "cache_creation_tokens"),
    "tokens_reasoning": ("tokens_reasoning", "reasoning_tokens"),
    "audio_seconds": ("audio_seconds", "duration_seconds", "audio_duration_seconds", "audio_duration"),
    "audio_minutes": ("audio_minutes", "minutes"),
    "characters": ("characters", "character_count"),
    "images": ("images", "image_count"),
    "pages": ("pages", "page_count"),
    "requests": ("requests", "num_requests", "num_model_requests", "request_count"),
    "cost": (
        *("cost_usd", "cost", "total_cost", "total_cost_usd", "cost_total", "amount_usd", "usd", "spend"),
        *("cost_estimate_usd", "estimated_cost_usd", "estimated_cost", "cost_estimate"),
    ),
    "cost_input": ("cost_input_usd", "input_cost", "input_cost_usd", "prompt_cost", "cost_input"),
    "cost_output": ("cost_output_usd", "output_cost", "output_cost_usd", "completion_cost", "cost_output"),
    "currency": ("currency",),
    "user_id": ("user_id", "user", "username"),
    "job_id": ("job_id", "job", "run_id", "session_id"),
    "stage": ("stage", "stage_name", "step"),
    "operation": ("operation", "category", "purpose", "task", "feature", "endpoint"),
    "description": ("description", "note", "notes", "comment"),
    "workflow": ("workflow", "pipeline"),
    "project": ("project", "project_id", "project_name"),
    "tags": ("tags",),
    "attempt": ("attempt",),
    "service_tier": ("service_tier", "tier"),
    "request_id": ("request_id", "response_id"),
    "region": ("region",),
    "metadata": ("metadata",),
    "estimated": ("estimated", "is_estimated"),
    "row_id": ("id", "uuid", "row_id", "call_id", "entry_id", "log_id"),
}
"""Our fields, and what other tools call them. The first name with a value counts."""

_COUNTS: Final = tuple(name for name in USAGE_FIELDS if name not in FRACTIONAL_FIELDS)
_DURATIONS: Final = tuple(sorted(FRACTIONAL_FIELDS))

_AMOUNTS: Final = frozenset(name for ours in ("cost", "cost_input", "cost_output") for name in NAMES[ours])
_QUANTITIES: Final = frozenset(
    [
        *(name for ours in USAGE_FIELDS for name in NAMES.get(ours, (ours,))),
        *(
            name
            for o in ("tokens_total", "cache_read", "cache_creation", "audio_minutes")
            for name in NAMES[o]
        ),
    ]
)

_KNOWN: Final = frozenset(
    [*(name for names in NAMES.values() for name in names), *USAGE_FIELDS],
)
_RUN_TOGETHER: Final = {name.replace("_", ""): name for name in _KNOWN}


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values for rows that do not state them."""

    user_id: str = "1"
    job_id: str | None = None
    service: str | None = None
    model: str | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    dates: DateOrder | None = None


@dataclass(frozen=True, slots=True)
class ForeignCall:
    """A foreign row as a call, with its stated cost if it has one.

    ``parts`` is the stated cost by kind (input and output, or ``stated`` for the whole); ``None`` if the row
    states none. ``sum_of`` is set if the row has a date without a time, so that it is not a single request.
    ``unused`` are the fields that were not understood; ``names_model`` is false if the row states a cost and
    no model, ``billed`` true if that cost is from a bill. For a ``kind`` that corrects, ``parts`` and counts
    are what it takes back, as positive numbers.
    """

    call: Call
    at: datetime
    user_id: str
    job_id: str | None
    parts: Mapping[str, Nanos] | None
    row_id: str | None
    zone_assumed: bool
    unused: tuple[str, ...]
    sum_of: SumOf | None = None
    names_model: bool = True
    billed: bool = False
    kind: Kind = "usage"


def understand(values: Mapping[str, object], defaults: Defaults) -> ForeignCall:
    """Return the call that a foreign row describes.

    Raises:
        ValueError, TypeError: it states too little (no model, no time) or something impossible.

    >>> row = {"model": "gpt-4o", "prompt_tokens": "1,000", "completion_tokens": 200,
    ...        "cost": "$0.0045", "date": "2025-03-01", "mood": "good"}
    >>> foreign = understand(row, Defaults())
    >>> foreign.call.service, foreign.call.usage.tokens_total, dict(foreign.parts), foreign.unused
    ('openai', 1200, {'stated': 4500000}, ('mood',))
    """
    row = _RowValues(_by_field(values))
    time_value = _time_value(row)
    names = [str(time_value), *(row.text(name) or "" for name in ("model", "service"))]
    if any(map(_TOTALS.fullmatch, names if names[1] else [*names, row.text("operation") or ""])):
        raise ValueError("is a row of totals of other rows in the file")
    text = iso_text(time_value, defaults.dates)
    sum_of = _sum_of(text)
    try:
        whole = f"{text}-01" if sum_of == "month" else time_value
        at, zone_assumed = instant(whole, defaults.zone, defaults.dates)
    except ValueError as error:
        raise ValueError(_date_advice(time_value) or f"timestamp {error}") from None
    kind, row = _with_kind(row)
    parts = _parts(row)
    model = row.text("model") or defaults.model or (UNKNOWN if parts is not None else None)
    return ForeignCall(
        call=_call(row, model, at, defaults),
        at=at,
        user_id=user_name(row.text("user_id") or defaults.user_id),
        job_id=optional_name("job_id", row.text("job_id")) or defaults.job_id,
        parts=parts,
        row_id=row.text("row_id"),
        zone_assumed=zone_assumed,
        unused=tuple(sorted(name for name in row.values if name not in _KNOWN)),
        sum_of=sum_of,
        names_model=model != UNKNOWN,
        kind=kind,
    )


def _with_kind(row: _RowValues) -> tuple[Kind, _RowValues]:
    """Return whether a row is a call, a reversal or a credit, and its values as positive numbers.

    Raises:
        ValueError: some of its numbers are negative and others positive.

    """
    numbers = [name for name in row.values if name in _NUMBERS]
    below = {name: value for name in numbers if (value := above_zero(row.values[name])) is not None}
    if not below:
        return "usage", row
    for name in numbers:
        if name not in below and row.number(name) and (name in _AMOUNTS or not below.keys() <= _AMOUNTS):
            other = next(iter(below))
            raise ValueError(
                f"{other} is below zero, {row.values[other]!r}, and {name} is not, "
                f"{row.values[name]!r}: for a refunded call all must be below zero, "
                "for a credit only the amount"
            )
    if below.keys() <= _AMOUNTS:
        rest = {name: value for name, value in row.values.items() if name not in _QUANTITIES}
        return "adjustment", _RowValues(rest | below)
    return "reversal", _RowValues(row.values | below)


_NUMBERS: Final = _AMOUNTS | _QUANTITIES


def _time_value(row: _RowValues) -> object:
    """Return the time that a row states; a time of day is joined with the date in another column."""
    clock_value = row.required("timestamp")
    if _CLOCK.fullmatch(str(clock_value).strip()) and (day := row.values.get("date")):
        return f"{str(day).strip()} {str(clock_value).strip()}"
    return clock_value


_CLOCK: Final = re.compile(
    r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AP]M)?(?:Z|[+-]\d{2}:?\d{2}| UTC)?", re.IGNORECASE
)


def _date_advice(when: object) -> str:
    """Return advice on a date whose day and month may be swapped; empty for any other value."""
    days = readings(when)
    choices = " or ".join(f"{day} (--dates {order})" for order, day in days.items())
    return f"timestamp {clean_text(repr(when))} is {choices}: say which comes first" if days else ""


def _sum_of(text: str) -> SumOf | None:
    """Return whether a time is a whole day or month, so that its row is a sum; ``None`` if neither."""
    if _MONTH.fullmatch(text):
        return "month"
    return "day" if _DATE.fullmatch(text) else None


_TOTALS: Final = re.compile(r"(?:grand |over|sub|filtered )?(?:totals?|sum|all models) ?:?", re.IGNORECASE)

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}")
_MONTH: Final = re.compile(r"\d{4}-\d{2}")


def field_name(theirs: str) -> str:
    """Return the heading of a column in the form in which names are looked up.

    Currency signs other than the dollar's stay: a cost in euros is not a cost that we can read.

    >>> field_name(" Input Tokens"), field_name("Cost (USD)"), field_name("cost ($)"), field_name("Cost (€)")
    ('input_tokens', 'cost_usd', 'cost', 'cost_€')
    """
    return re.sub(r"[\s_$()\[\].,:;/-]+", "_", theirs.lower()).strip("_")


def known_name(theirs: str) -> str:
    """Return a name as :func:`field_name` does, recognising known names written as one word.

    >>> known_name("promptTokens"), known_name("costUSD"), known_name("someThing")
    ('prompt_tokens', 'cost_usd', 'something')
    """
    name = field_name(theirs)
    return name if name in _KNOWN else _RUN_TOGETHER.get(name.replace("_", ""), name)


def plain_value(name: str, value: object) -> str:
    """Return the canonical text of a field's value; empty for a value that says nothing.

    A time without a zone counts as UTC here, and a date as its midnight, whatever zone its entry is read in.

    >>> {plain_value("date", time) for time in ("2026-10-31 11:30", 1793446200000, "2026-10-31T12:30+01:00")}
    {'2026-10-31T11:30:00+00:00'}
    >>> plain_value("cost", "$1,000"), plain_value("cost", 1000.0), plain_value("date", "last week")
    ('1E+3', '1E+3', 'last week')
    """
    if name in _WHEN and _has_value(value):
        with suppress(ValueError):
            return instant(value, UTC)[0].isoformat()
    return plain_text(value)


_WHEN: Final = frozenset(NAMES["timestamp"])


def plain_text(value: object) -> str:
    """Return the canonical text of a value; empty for a value that says nothing.

    >>> [plain_text(cell) for cell in ("1,000", 1000.0, Decimal("1E+3"), "gpt-4o", "None", None, True, [1.0])]
    ['1E+3', '1E+3', '1E+3', 'gpt-4o', '', '', 'true', '["1"]']
    >>> [plain_text(cell) for cell in ("($0.020)", "-0.02 USD", -0.02, "0.02-", "(none)")]
    ['-0.02', '-0.02', '-0.02', '-0.02', '(none)']
    """
    if not _has_value(value):
        return ""
    if isinstance(value, str):
        text = _with_decimal_dot(value)
        if text[0] in "{[":
            with suppress(ValueError, RecursionError):
                return plain_text(parsed(text))
        return _plain_amount(text) or _PLAIN_WORDS.get(text, text)
    if isinstance(value, Mapping):
        return json.dumps({str(name): plain_text(item) for name, item in value.items()}, sort_keys=True)
    if isinstance(value, (list, tuple)):
        return json.dumps([plain_text(item) for item in value])
    text = str(value)
    return (
        text.lower() if isinstance(value, bool) else _plain_number(text) if _DIGITS.fullmatch(text) else text
    )


def _plain_amount(text: str) -> str | None:
    """Return a number without currency, digit groups and notations for minus; ``None`` for other text."""
    if text[0] in _BEFORE or text[-1] in _BEHIND:
        above = above_zero(text)
        text = _DOLLARS.sub("", text if above is None else f"-{above}").strip()
    bare = re.sub(r"[,'\u2019\s]", "", text) if _GROUPED.fullmatch(text) else text
    return _plain_number(bare) if _DIGITS.fullmatch(bare) else None


_BEFORE: Final = "-\N{MINUS SIGN}($Uu"
_BEHIND: Final = "-\N{MINUS SIGN}Dd"
"""First and last characters of a number that is negative or has a currency."""


def _plain_number(text: str) -> str:
    return str(Decimal(text).normalize()) if len(text) <= _LONGEST_NUMBER else text


_DIGITS: Final = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d{1,4})?")
_LONGEST_NUMBER: Final = 28
"""A decimal is not rounded up to this many digits."""

_PLAIN_WORDS: Final = {"True": "true", "False": "false", "TRUE": "true", "FALSE": "false"}


def nested(value: object) -> Mapping[str, Any]:
    """Return an object nested in a row, parsed if it is JSON text; an empty one if there is none.

    >>> nested('{"cached_tokens": 5}'), nested(None)
    ({'cached_tokens': 5}, {})
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = parsed(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}


def decimal_of(value: object) -> Decimal | None:
    """Return a number exactly as written; ``None`` for an empty value.

    Raises:
        ValueError: it is not a number.

    >>> decimal_of("$1,234.50"), decimal_of("0E-6176"), decimal_of("-0.05 USD"), decimal_of("")
    (Decimal('1234.50'), Decimal('0E-6176'), Decimal('-0.05'), None)
    """
    if not _has_value(value):
        return None
    try:
        return _number("the amount", value)
    except TypeError as error:
        raise ValueError(str(error)) from None


def utc_text(value: object) -> object:
    """Add UTC to a time without a zone, for formats whose times are UTC; a date stays a date.

    >>> utc_text("2026-11-01 10:00:00.5"), utc_text("2026-11-01"), utc_text("2026-11-01T10:00:00Z")
    ('2026-11-01 10:00:00.5+00:00', '2026-11-01', '2026-11-01T10:00:00Z')
    """
    text = str(value).strip()
    return f"{text}+00:00" if _NAIVE.fullmatch(text) else value


_NAIVE: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}[\d:.,]*")


def leftover(row: Mapping[str, object], used: frozenset[str]) -> dict[str, None]:
    """Return a row's names that its format's reader does not use, for the report to list."""
    return {name: None for name in row if name not in used and known_name(name) not in _KNOWN}


def _by_field(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values of a row by field; of columns with the same name, the first with a value counts."""
    fields: dict[str, object] = {}
    for name, value in values.items():
        field_ = known_name(str(name))
        if not _has_value(fields.get(field_)):
            fields[field_] = value
    return fields


def _has_value(value: object) -> bool:
    return value is not None and (not isinstance(value, str) or value.strip().lower() not in _NOTHING)


class _RowValues:
    """The values of a row under our names for them."""

    def __init__(self, values: dict[str, object]) -> None:
        self.values = values

    def get(self, name: str) -> object:
        """Return the first value that is not empty, or ``None``."""
        for theirs in NAMES.get(name, (name,)):
            value = self.values.get(theirs)
            if _has_value(value):
                return value
        return None

    def required(self, name: str) -> object:
        value = self.get(name)
        if value is None:
            raise ValueError(f"has no {name} (looked for {', '.join(NAMES[name])})")
        return value

    def text(self, name: str) -> str | None:
        value = self.get(name)
        if isinstance(value, (dict, list)):
            raise TypeError(f"{name} is not text: {_shown(value)}")
        return None if value is None else clean_text(str(value).strip())

    def count(self, name: str) -> int | None:
        number = self.number(name)
        if number is None:
            return None
        refuse_thousands_or_decimals(name, self.get(name))
        if number != number.to_integral_value() or not 0 <= number <= MAX_COUNT:
            raise ValueError(f"{name} is not a count: {_shown(self.get(name))}")
        return int(number)

    def number(self, name: str) -> Decimal | None:
        value = self.get(name)
        if value is None:
            return None
        return _number(name, value)


_NOTHING: Final = frozenset({"", "null", "none", "nan", "n/a", "-"})


_DOLLARS: Final = re.compile(r"US\$|\$|\bUSD\b", re.IGNORECASE)
_GROUPED: Final = re.compile(r"[-+]?[1-9]\d{0,2}(?:[,'\u2019\s]\d{2,3})*[,'\u2019\s]\d{3}(?:\.\d*)?")
"""A number grouped in thousands or as in India; in any other number a comma may be a decimal sign."""


_THOUSANDS_OR_DECIMALS: Final = re.compile(r"([1-9]\d{0,2})\.(\d{3})")
"""A count as text whose dot may group thousands or separate decimals."""


def refuse_thousands_or_decimals(name: str, value: object) -> None:
    """Refuse a count whose dot may group thousands or separate decimals.

    Raises:
        ValueError: it is text such as ``1.000``.

    """
    if isinstance(value, str) and (match := _THOUSANDS_OR_DECIMALS.fullmatch(_with_decimal_dot(value))):
        whole, digits = match.groups()
        raise ValueError(f"{name} may be {whole} or {whole}{digits}: {value!r}; write it in digits alone")


def _shown(value: object) -> str:
    """Return a value as a message shows it: the beginning of a long one, and how long it is."""
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text):,} characters)"


def _number(name: str, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise TypeError(f"{name} is not a number: {_shown(value)}")
    text = repr(value) if isinstance(value, float) else _DOLLARS.sub("", _with_decimal_dot(value)).strip()
    if _GROUPED.fullmatch(text):
        text = re.sub(r"[,'\u2019\s]", "", text)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{name} is not a number: {_shown(value)}") from None
    if not number.is_finite():
        raise ValueError(f"{name} is not a number: {_shown(value)}")
    if abs(number) > MOST:
        raise ValueError(f"{name} is more than any call or bill has: {_shown(value)}")
    return number


LONGEST_SHOWN: Final = 80
"""How many characters of a value a message shows."""

MOST: Final = 10**15
"""The largest amount or count that is accepted from a foreign file."""


def _with_decimal_dot(value: object) -> str:
    return value.dotted if isinstance(value, LocalNumber) else str(value).strip()


def _call(row: _RowValues, model: str | None, at: datetime, defaults: Defaults) -> Call:
    if not model:
        looked_for = ", ".join(NAMES["model"])
        raise ValueError(f"has no model (looked for {looked_for}) and no cost; give a model with --model")
    labels = {name: row.text(name) for name in _LABELS}
    if labels["request_id"] is None and _RESPONSE.fullmatch(row_id := row.text("row_id") or ""):
        labels["request_id"] = row_id
    return make_call(
        _service(row, model, defaults),
        model,
        stage=row.text("stage"),
        metadata=_metadata(row),
        timestamp=at,
        attempt=row.count("attempt") or 1,
        tags=_tags(row.get("tags")),
        estimated=str(row.get("estimated")).strip().lower() in ("1", "true", "yes"),
        **labels,  # type: ignore[arg-type]  # every label is text or None
        **_counts(row),
    )


_LABELS: Final = ("operation", "description", "workflow", "project", "service_tier", "request_id", "region")


_RESPONSE: Final = re.compile(r"(?:chatcmpl-|resp_|msg_)[\w-]{8,}")
"""Ids of responses from OpenAI and Anthropic, by which a call that was also recorded live is recognised."""


def _metadata(row: _RowValues) -> dict[str, object]:
    """Return a row's metadata with secrets redacted; text is parsed as JSON if possible."""
    metadata = row.get("metadata")
    if isinstance(metadata, str):
        try:
            metadata = parsed(metadata)
        except (ValueError, RecursionError):
            metadata = {"note": metadata}
    if not isinstance(metadata, Mapping):
        return {} if metadata is None else redact({"note": metadata})
    return redact(
        {str(key): float(value) if isinstance(value, Decimal) else value for key, value in metadata.items()}
    )


def _service(row: _RowValues, model: str, defaults: Defaults) -> str:
    service = row.text("service") or defaults.service or service_in_name(model) or infer_service(model)
    if model == UNKNOWN:
        return service or UNKNOWN
    if not service:
        raise ValueError(f"has no service, and {model!r} does not imply one; give one with --service")
    return service


def _counts(row: _RowValues) -> dict[str, Any]:
    counts: dict[str, Any] = {name: count for name in _COUNTS if (count := row.count(name))}
    cache_counts = {ours: row.count(theirs) or 0 for ours, theirs in _ADDED_TO_INPUT.items()}
    if sum(cache_counts.values()):
        counts["tokens_input"] = counts.get("tokens_input", 0) + sum(cache_counts.values())
        counts |= cache_counts
    counts |= {name: float(seconds) for name in _DURATIONS if (seconds := row.number(name))}
    if "audio_seconds" not in counts and (minutes := row.number("audio_minutes")):
        counts["audio_seconds"] = float(minutes * 60)
    total = row.count("tokens_total")
    if total and not counts.get("tokens_input") and not counts.get("tokens_output"):
        counts["tokens_total"] = total
    return counts


_ADDED_TO_INPUT: Final = {"tokens_cached": "cache_read", "tokens_cache_write": "cache_creation"}


def _parts(row: _RowValues) -> dict[str, Nanos] | None:
    currency = row.text("currency")
    if currency and currency.upper().rstrip("S").replace(" ", "") not in _US_DOLLAR:
        raise ValueError(f"is in {currency}, and only amounts in USD can be imported")
    whole, cost_input, cost_output = (_amount(row, name) for name in ("cost", "cost_input", "cost_output"))
    if cost_input is not None and cost_output is not None:
        parts = {"input": cost_input, "output": cost_output}
        if whole is None or sum(parts.values()) == whole:
            return parts
    return None if whole is None else {"stated": whole}


_US_DOLLAR: Final = frozenset({"USD", "US$", "$", "USDOLLAR"})


def _amount(row: _RowValues, name: str) -> Nanos | None:
    number = row.number(name)
    if number is None:
        return None
    as_written = row.get(name)
    swapped = as_written.replace(",", ".") if isinstance(as_written, UndecidedNumber) else None
    if swapped is not None:
        raise ValueError(
            f"{name} may be {number} or {swapped}, and no other number of the file tells; write it with a dot"
        )
    amount = from_usd(number)
    if not 0 <= amount <= MAX_ENTRY_NANOS:
        raise ValueError(f"{name} is not the cost of one call: {as_written!r}")
    return amount


def _tags(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = json.loads(value) if value.lstrip().startswith("[") else re.split(r"[,;]", value)
    if isinstance(value, (list, tuple)):
        return tuple(clean_text(str(tag).strip()) for tag in value if str(tag).strip())
    return ()
