"""Google Cloud's billing export from BigQuery, as JSON or Parquet, and the console's cost table as CSV.

Rows are by hour, SKU and project; the unit ``requests`` or ``count`` means tokens. Credits are inside a row
and bring the net near 0, so the gross is compared. The console's last rows repeat the sum, and its days are
in Pacific time (seen in November 2026). Lines appear up to two days late.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..foreign import decimal_of, nested
from ..rows import NotUnderstood
from . import BillFormat, BillLine, Category, Statement, end_of_line, instant, understood
from ._clouds import TWO_DAYS, UsageMeter, counts_of, having, index_of, kind_of, named_rows, tier_of

_GEMINI: Final = re.compile(
    r"(?P<bare>token count )?gemini[ -]"
    r"(?P<name>embedding[ -]\d+|[\d.]+ (?:flash[ -]lite|flash|pro|ultra|nano|live translate|live))"
    r"(?: preview)?(?P<own> tts| native audio| live| cyber| computer use|(?: native)? image"
    r"(?= generation| preview| text| image| audio| video|(?(bare)(?!)|(?: batch| flex| priority|$))))?",
    re.IGNORECASE,
)
"""A model in a SKU. A following ``image`` is part of its name unless it is the input or output, which is
named before ``token count for gemini ..``, but after ``token count gemini ..`` (seen in August 2026)."""


def google_meter(sku: str) -> UsageMeter:
    """Return what a SKU of the Gemini API or of Vertex AI counts; no model for storage and searches.

    >>> google_meter("Generate content cached input token count gemini 3.7 flash text batch").tier
    'batch'
    >>> google_meter("Gemini 2.5 Flash Lite GA Text Input - Predictions")
    UsageMeter(model='gemini-2.5-flash-lite', kind='input', tier=None, scale=1)
    >>> google_meter("Gemini 2.5 Flash GA Thinking Text Output - Predictions").kind
    'output'
    """
    match = _GEMINI.search(sku.replace("_", " "))
    if match is None or re.search(r"storage|grounding|search", sku, re.IGNORECASE):
        return UsageMeter(None, None, tier_of(sku), 1)
    model = f"gemini {match['name']}{(match['own'] or '')}".lower().replace(" native image", " image")
    model = re.sub(r"\s+", "-", model)
    kind = kind_of(f"{sku} tokens")
    if re.search(r"\bcaching\b", sku, re.IGNORECASE) and kind == "input":
        kind = "cached"
    return UsageMeter(model, kind, tier_of(sku), 1)


class SkuUsage(NamedTuple):
    """The fields of a row about one SKU: description, type of cost, quantity, amount and project."""

    description: str
    kind: str
    quantity: Decimal | None
    amount: Decimal | None
    key: str | None


def _google_line(statement: Statement, where: str, row: Mapping[str, Any]) -> BillLine | None:
    usage = nested(row.get("usage"))
    at = instant(row.get("usage_start_time"))
    statement.cover(at, end_of_line(row.get("usage_end_time"), at, timedelta(hours=1)))
    statement.currency = str(row.get("currency") or "USD").upper()
    amount, rate = decimal_of(row.get("cost")), decimal_of(row.get("currency_conversion_rate"))
    if statement.currency != "USD" and rate and amount is not None:
        amount, statement.currency = amount / rate, "USD"
    sku = SkuUsage(
        str(nested(row.get("sku")).get("description") or row.get("sku.description") or ""),
        str(row.get("cost_type") or "regular").lower(),
        decimal_of(usage.get("amount", row.get("usage.amount"))),
        amount,
        nested(row.get("project")).get("id"),
    )
    return _sku_line(statement, where, at, sku)


_COST_TYPES: Final[Mapping[str, Category]] = {
    "tax": "tax",
    "adjustment": "credit",
    "rounding_error": "credit",
}


def google_category(sku: str) -> Category | None:
    """Return the category of a SKU's usage; ``None`` for a service that has nothing to do with Gemini."""
    if google_meter(sku).model is not None:
        return "model"
    name = sku.lower()
    if "gemini" not in name and "grounding" not in name:
        return None
    return "storage" if "storage" in name else "tool"


def _sku_line(statement: Statement, where: str, at: datetime, sku: SkuUsage) -> BillLine | None:
    meter = google_meter(sku.description)
    category = _COST_TYPES.get(sku.kind) or google_category(sku.description)
    if category is None:
        return None
    statement.has_tiers = True
    is_model = category == "model"
    return BillLine(
        where,
        "google",
        at,
        meter.model if is_model else None,
        category,
        meter.tier,
        sku.key,
        counts=counts_of(meter.kind, sku.quantity, 1) if is_model else None,
        amount=sku.amount,
        label=sku.description,
        kind=index_of(meter.kind),
    )


def _google_rows(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
    """Yield the lines of the BigQuery export, each followed by its credits as lines of their own."""
    for item in named_rows(path):
        for line in understood(iter([item]), partial(_google_line, statement)):
            yield line
            if isinstance(line, BillLine) and not isinstance(item, NotUnderstood):
                yield from understood(_credits(*item), partial(_credit_line, line.at))


def _credits(where: str, row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the credits of a row, each with the units of its currency per dollar, 1 if not stated."""
    rate = decimal_of(row.get("currency_conversion_rate"))
    is_foreign = str(row.get("currency") or "USD").upper() != "USD"
    for number, credit in enumerate(row.get("credits") or (), start=1):
        yield f"{where}.credits[{number}]", (nested(credit), rate if is_foreign and rate else Decimal(1))


def _credit_line(
    at: datetime, where: str, credit_and_rate: tuple[Mapping[str, Any], Decimal]
) -> BillLine | None:
    credit, rate = credit_and_rate
    amount = decimal_of(credit.get("amount"))
    if amount is None:
        return None
    label = str(credit.get("name") or "credit")
    return BillLine(where, "google", at, category="credit", amount=amount / rate, label=label)


def _google_console(path: Path, statement: Statement) -> Iterator[BillLine | NotUnderstood]:
    statement.zone = "America/Los_Angeles"

    def line(where: str, row: Mapping[str, Any]) -> BillLine | None:
        day = str(row.get("date") or row.get("usage start date") or "")
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
            return None  # the last rows repeat the sum
        at = instant(day)
        statement.cover(at, at + timedelta(days=1))
        cost = next((value for name, value in row.items() if name.startswith("unrounded subtotal")), None)
        if cost is None:
            cost = next((value for name, value in row.items() if name.startswith(("subtotal", "cost"))), None)
        currency = next((name for name in row if "subtotal" in name and "(" in name), "($)")
        statement.currency = _SIGNS.get(currency.rpartition("(")[2].rstrip(")"), "USD")
        quantity, key = decimal_of(row.get("usage amount")), row.get("project id") or None
        sku = SkuUsage(str(row.get("sku description") or ""), "regular", quantity, decimal_of(cost), key)
        return _sku_line(statement, where, at, sku)

    yield from understood(named_rows(path), line)


_SIGNS: Final = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}


BILLS: Final = (
    BillFormat(
        "google-billing",
        "Google Cloud's billing export from BigQuery, as JSON or Parquet.",
        having("usage_start_time", "sku", "cost"),
        _google_rows,
        unit=Decimal("0.000001"),
        lateness=TWO_DAYS,
    ),
    BillFormat(
        "google-console",
        "Google Cloud's cost table as CSV.",
        lambda sample: {"sku_description", "usage_amount"} <= sample.header,
        _google_console,
        unit=Decimal("0.000001"),
        lateness=TWO_DAYS,
    ),
)
