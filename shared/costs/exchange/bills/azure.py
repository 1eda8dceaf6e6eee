"""Azure's cost details (actual cost), of a Microsoft Customer or an Enterprise Agreement.

Meters such as ``gpt 4o 1120 cached Inp glbl Tokens`` say the kind of tokens, and they or the unit how many a
unit is; names of columns differ in case between agreements (seen in November 2026). One to two days late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from ..foreign import decimal_of
from ..imports import Sample
from . import BillFormat, BillLine, Category, Statement, instant
from ._meters import TWO_DAYS, Meter, counts_of, kind_of, place_of, scale_of, tier_of
from ._tables import reader_of

_AZURE_NOISE: Final = re.compile(
    r"\b(cached|cchd|cache|inp|input|outp|output|opt|glbl|gl|global|regnl|rgnl|regional|dzone|dz|data|zone|tokens?"
    r"|batch|prty|priority|1m|1k|txt|text|aud|img)\b",
    re.IGNORECASE,
)
_AZURE_DATE: Final = re.compile(r"\b(0[1-9]|1[0-2])([0-3]\d)\b")


def azure_meter(name: str, unit: str) -> Meter:
    """Return what a meter of Azure OpenAI counts.

    >>> azure_meter("gpt 4o 1120 cached Inp glbl Tokens", "1K")
    Meter(model='gpt-4o', kind='cached', tier=None, scale=1000)
    >>> azure_meter("5.4 opt Gl 1M Tokens", "1M")
    Meter(model='gpt-5.4', kind='output', tier=None, scale=1000000)
    """
    text = _AZURE_NOISE.sub(" ", name.replace("-", " "))
    words = _AZURE_DATE.sub(" ", text).split()
    model = "-".join(words).lower() or None
    if model and re.match(r"\d", model):
        model = f"gpt-{model}"
    return Meter(model, kind_of(name.replace("-", " ")), tier_of(name), scale_of(f"{unit} {name}", 1_000))


_ABOUT: Final = ("metercategory", "metersubcategory", "servicefamily")


def _azure_line(statement: Statement, where: str, row: Mapping[str, Any]) -> BillLine | None:
    meter_name = str(row.get("metername") or row.get("meter") or "")
    about = " ".join(str(row.get(name) or "") for name in _ABOUT).lower()
    charge = str(row.get("chargetype") or "Usage").lower()
    at = instant(row.get("date") or row.get("usagedatetime") or row["usagedate"])
    category: Category = "model"
    if charge in ("tax", "refund", "credit", "roundingadjustment"):
        category = "tax" if charge == "tax" else "credit"
    elif "token" not in meter_name.lower():
        if "ai" not in about.split() and "cognitive" not in about:
            return None
        category = "other"
    names = ("costinusd", "costinbillingcurrency", "cost")
    stated, amount = next(
        ((name, cost) for name in names if (cost := row.get(name)) not in (None, "")), ("", None)
    )
    statement.currency = "USD" if stated == "costinusd" else str(row.get("billingcurrency") or "USD").upper()
    statement.cover(at, at + timedelta(days=1))
    statement.has_tiers = True
    meter = azure_meter(meter_name, str(row.get("unitofmeasure") or ""))
    return BillLine(
        where,
        "azure",
        at,
        meter.model if category == "model" else None,
        category,
        meter.tier,
        str(row.get("resourceid") or row.get("instanceid") or "").rpartition("/")[2] or None,
        counts=counts_of(meter.kind, decimal_of(row.get("quantity")), meter.scale)
        if category == "model"
        else None,
        amount=decimal_of(amount),
        label=meter_name,
        kind=place_of(meter.kind),
        invoice=str(row.get("invoiceid") or ""),
    )


def _is_azure(sample: Sample) -> bool:
    names = sample.columns
    return not names.isdisjoint({"metername", "meter_name"}) and not names.isdisjoint(
        {"date", "usagedatetime"}
    )


BILLS: Final = (
    BillFormat(
        "azure",
        "Azure's cost details (actual cost), as CSV or Parquet.",
        _is_azure,
        reader_of(_azure_line),
        unit=Decimal("1e-10"),
        lateness=TWO_DAYS,
    ),
)
