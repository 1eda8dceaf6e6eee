"""FOCUS 1.0 to 1.4 as any provider exports it (https://focus.finops.org).

``BilledCost`` is compared; taxes, credits, adjustments and purchases stand apart. AWS adds ``x_UsageType``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from ...pricing.names import normalize_service
from ..foreign import decimal_of
from . import BillFormat, BillLine, Category, Statement, end_of_line, instant
from ._meters import TWO_DAYS, Meter, counts_of, kind_of, place_of, scale_of, tier_of
from ._tables import having, reader_of
from .aws import aws_meter


def _focus_line(statement: Statement, where: str, row: Mapping[str, Any]) -> BillLine | None:
    service = normalize_service(str(row.get("serviceprovidername") or row.get("providername") or ""))
    at = instant(row["chargeperiodstart"])
    stated = {"usage": "model", "tax": "tax", "credit": "credit", "adjustment": "credit", "purchase": "other"}
    category: Category = stated.get(str(row["chargecategory"]).lower(), "other")  # type: ignore[assignment]  # its values are
    names = [str(row.get(name) or "") for name in ("x_usagetype", "skumeter", "chargedescription", "skuid")]
    said = " ".join(names)
    if service == "aws" and category == "model":
        meter = aws_meter(names[0] or names[3], str(row.get("servicename") or ""))
    else:
        model = str(row.get("x_model") or row.get("skuid") or "").rpartition("/")[2] or None
        meter = Meter(model, kind_of(said), tier_of(str(row.get("x_servicetier") or said)), 1)
    if category == "model" and "search" in said.lower():
        category = "tool"
    statement.cover(at, end_of_line(row.get("chargeperiodend"), at, timedelta(days=1)))
    statement.currency = str(row.get("billingcurrency") or "USD").upper()
    statement.has_tiers = True
    unit = str(row.get("consumedunit") or row.get("pricingunit") or "").lower()
    return BillLine(
        where,
        service,
        at,
        meter.model if category == "model" else None,
        category,
        meter.tier,
        str(row.get("subaccountid") or "") or None,
        counts=counts_of(meter.kind, decimal_of(row.get("consumedquantity")), scale_of(unit, meter.scale))
        if category == "model"
        else None,
        amount=decimal_of(row["billedcost"]),
        label=names[2] or names[1],
        kind=place_of(meter.kind),
        invoice=str(row.get("invoiceid") or ""),
    )


BILLS: Final = (
    BillFormat(
        "focus",
        "FOCUS 1.0 to 1.4 of any provider, as CSV or Parquet.",
        having("billedcost", "chargecategory", "chargeperiodstart"),
        reader_of(_focus_line),
        unit=Decimal("1e-10"),
        lateness=TWO_DAYS,
    ),
)
