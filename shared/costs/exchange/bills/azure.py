"""Azure's cost details (actual cost), of a Microsoft Customer Agreement or an Enterprise Agreement.

Meters such as ``gpt 4o 1120 cached Inp glbl Tokens`` state the kind of tokens, and the meter or the unit
states how many tokens a unit is; names of columns differ in case between agreements (seen in November 2026).
Lines appear one to two days late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from ..foreign import decimal_of
from ..imports import FileSample
from . import BillFormat, BillLine, Category, Statement, instant
from ._clouds import TWO_DAYS, UsageMeter, counts_of, index_of, kind_of, reader_of, scale_of, tier_of

_REGIONS: Final = r"gl|glbl|global|regnl|rgnl|regional|dz|dzone|data ?zone"
_NOISE: Final = re.compile(
    rf"\b(?:{_REGIONS}|c?cchd|cached|cd|cache(?: writes?| reads?)?|inpt?|input|outpt?|outp?|output|opt"
    r"|(?:short|long) ?co(?:ntext)?|tokens?|tkn|batch|prty|priority|pp|1m|1k|txt|text|aud|img)\b",
    re.IGNORECASE,
)
_RUN_TOGETHER: Final = re.compile(
    r"(?<=batch)(?=inp|out)|(?<=[a-z])(?=(?:0[1-9]|1[0-2])[0-3]\d\b)", re.IGNORECASE
)
_AZURE_DATE: Final = re.compile(r"\b(0[1-9]|1[0-2])([0-3]\d)(?:20\d\d)?\b")
_MAKERS: Final = {"deepseek": "deepseek", "grok": "grok", "anthropic": "claude"}
"""The beginnings of model names that meters leave out, by a word of the meters' subcategory."""


def azure_meter(name: str, unit: str, about: str = "") -> UsageMeter:
    """Return what a meter of a model counts; ``about`` is its category in words.

    Names are those of Azure's Retail Prices API and of bills, of 2026-10-04: cached input is ``cached``,
    ``cchd`` or ``cd``, and embeddings count only input.

    >>> azure_meter("gpt 4o 1120 cached Inp glbl Tokens", "1K")
    UsageMeter(model='gpt-4o', kind='cached', tier=None, scale=1000)
    >>> azure_meter("5.4 opt Gl 1M Tokens", "1M")
    UsageMeter(model='gpt-5.4', kind='output', tier=None, scale=1000000)
    >>> azure_meter("GPT 5 Mini Batch Inpt cchd Glbl 1M Tokens", "1M")
    UsageMeter(model='gpt-5-mini', kind='cached', tier='batch', scale=1000000)
    >>> azure_meter("V4 Pro Inp glbl Tokens", "1K", "Azure Deepseek Models").model
    'deepseek-v4-pro'
    """
    text = re.sub(r"\bout\b", "output", _RUN_TOGETHER.sub(" ", name).replace("-", " "))
    words = _AZURE_DATE.sub(" ", _NOISE.sub(" ", text)).split()
    model = "-".join(words).lower() or None
    if model:
        model = _full_name(model, about.lower())
    kind = kind_of(f"{text} tokens") or ("input" if "embedding" in text.lower() else None)
    if re.search(r"\bcd\b", text, re.IGNORECASE):
        kind = "cached"
    tier = "priority" if re.search(r"\b(?:pp|prty)\b", text, re.IGNORECASE) else tier_of(text)
    return UsageMeter(model, kind, tier, scale_of(f"{unit} {name}", 1_000))


def _full_name(model: str, about: str) -> str:
    """Return a model's full name; meters leave out the beginning of some."""
    if model.startswith("embedding"):
        return f"text-{model}"
    maker = next((start for word, start in _MAKERS.items() if word in about), None)
    if maker:
        return model if maker in model else f"{maker}-{model}"
    return f"gpt-{model}" if re.match(r"\d", model) else re.sub(r"^gpt(?=\d)", "gpt-", model)


_CURRENCIES: Final = ("billingcurrency", "billingcurrencycode", "currency")
_OTHER_CHARGES: Final[Mapping[str, Category]] = {
    "tax": "tax",
    "refund": "credit",
    "credit": "credit",
    "roundingadjustment": "credit",
}
_SUBJECT_COLUMNS: Final = ("metercategory", "metersubcategory", "servicefamily")


def azure_category(meter: str, about: str) -> Category | None:
    """Return the category of a meter's usage; ``None`` for a service that has nothing to do with models."""
    if "token" in meter.lower():
        return "model"
    words = {*about.lower().split()}
    return None if words.isdisjoint({"ai", "openai", "cognitive", "foundry"}) else "other"


def _azure_line(statement: Statement, where: str, row: Mapping[str, Any]) -> BillLine | None:
    name, unit = str(row.get("metername") or row.get("meter") or ""), str(row.get("unitofmeasure") or "")
    about = " ".join(str(row.get(column) or "") for column in _SUBJECT_COLUMNS)
    charge = str(row.get("chargetype") or "Usage").lower()
    at = instant(row.get("date") or row.get("usagedatetime") or row["usagedate"])
    category = azure_category(f"{name} {unit}", about)
    if charge in _OTHER_CHARGES and (category or not (name or about.strip())):
        category = _OTHER_CHARGES[charge]
    if category is None:
        return None
    names = ("costinusd", "costinbillingcurrency", "cost", "pretaxcost")
    cost_column, amount = next(
        ((name, cost) for name in names if (cost := row.get(name)) not in (None, "")), ("", None)
    )
    currency = next((row[column] for column in _CURRENCIES if row.get(column)), "USD")
    statement.currency = "USD" if cost_column == "costinusd" else str(currency).upper()
    statement.cover(at, at + timedelta(days=1))
    statement.has_tiers = True
    meter = azure_meter(name, unit, about)
    return BillLine(
        where,
        "azure",
        at,
        meter.model if category == "model" else None,
        category,
        meter.tier,
        str(row.get("resourceid") or row.get("instanceid") or "").rpartition("/")[2] or None,
        counts=counts_of(meter.kind, decimal_of(row.get("quantity", row.get("usagequantity"))), meter.scale)
        if category == "model"
        else None,
        amount=decimal_of(amount),
        label=name,
        kind=index_of(meter.kind),
        invoice=str(row.get("invoiceid") or ""),
    )


def _is_azure(sample: FileSample) -> bool:
    names = sample.columns
    return not names.isdisjoint({"metername", "meter_name"}) and not names.isdisjoint(
        {"date", "usagedatetime", "usagedate"}
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
