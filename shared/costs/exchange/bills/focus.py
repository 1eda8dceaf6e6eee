"""FOCUS 1.0 to 1.4 as any provider exports it (https://focus.finops.org).

``BilledCost`` is compared; taxes, credits, adjustments and purchases are listed separately. The clouds'
exports are of whole accounts, so charges that have nothing to do with models are skipped. They name the usage
in their own columns: AWS in ``x_UsageType``, Microsoft in ``SkuMeter`` (before 1.2 ``x_SkuMeterName``; seen
in September 2026), Google in ``ChargeDescription``, which is the SKU's
(https://docs.cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/focus-export).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from ...pricing.names import normalize_service
from ..foreign import decimal_of
from ..rows import CannotRead
from . import BillFormat, BillLine, Category, Statement, end_of_line, instant
from ._clouds import TWO_DAYS, UsageMeter, counts_of, having, index_of, kind_of, reader_of, scale_of, tier_of
from .aws import aws_meter, is_bedrock
from .azure import azure_category, azure_meter
from .google import google_category, google_meter

_SELLERS: Final = {"amazon": "aws", "aws": "aws", "microsoft": "azure", "azure": "azure", "google": "google"}
"""Services, by a word in the names of their sellers."""

_CATEGORIES: Final[Mapping[str, Category]] = {
    "usage": "model",
    "tax": "tax",
    "credit": "credit",
    "adjustment": "credit",
    "purchase": "other",
}


class _ChargeClass(NamedTuple):
    """The category of a charge, ``None`` if it has nothing to do with models, and its meter."""

    category: Category | None
    meter: UsageMeter


def _focus_line(statement: Statement, where: str, row: Mapping[str, Any]) -> BillLine | None:
    if _is_from_litellm(row):
        raise CannotRead(
            f"{where} is of LiteLLM's FOCUS export, which has no tokens and its own estimates, and no bill: "
            "export its spend logs (/spend/logs, or the table LiteLLM_SpendLogs)"
        )
    service, at = _seller(row), instant(row["chargeperiodstart"])
    category, meter = _charge(service, row)
    stated_category = _CATEGORIES.get(str(row["chargecategory"]).lower(), "other")
    if stated_category != "model" and (
        category or (stated_category != "other" and not row.get("servicename"))
    ):
        category = stated_category
    if category is None:
        return None
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
        label=next((str(row[name]) for name in _LABELS if row.get(name)), ""),
        kind=index_of(meter.kind),
        invoice=str(row.get("invoiceid") or ""),
    )


def _is_from_litellm(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is from LiteLLM (1.110.2): a day of one key, with the model as the resource."""
    names = [row.get(name) for name in ("resourceid", "resourcename", "resourcetype", "chargedescription")]
    return row.get("billingaccounttype") == "API Key" and bool(names[0]) and len({*names}) == 1


_LABELS: Final = ("chargedescription", "skumeter", "x_skumetername")


def _seller(row: Mapping[str, Any]) -> str:
    """Return the service of a row, by the name of its seller."""
    name = str(row.get("serviceprovidername") or row.get("providername") or "")
    words = re.split(r"\W+", name.lower())
    return next((_SELLERS[word] for word in words if word in _SELLERS), normalize_service(name))


def _charge(service: str, row: Mapping[str, Any]) -> _ChargeClass:
    """Return the category and meter of a row; each cloud states them in its own columns."""
    product = str(row.get("servicename") or "")
    if service == "aws" and not row.get("x_model"):
        usage_type = str(row.get("x_usagetype") or row.get("skuid") or "")
        meter = aws_meter(usage_type, product)
        if not is_bedrock("", usage_type, product):
            return _ChargeClass(None, meter)
        return _ChargeClass("model" if meter.model else "other", meter)
    if service == "azure" and not row.get("x_model"):
        name = str(row.get("x_skumetername") or row.get("skumeter") or "")
        about = " ".join((product, *(str(row.get(column) or "") for column in _SUBJECT_COLUMNS)))
        # Quantities are in tokens; only prices are per thousand or million.
        return _ChargeClass(azure_category(name, about), azure_meter(name, "", about)._replace(scale=1))
    if service == "google" and not row.get("x_model"):
        sku = str(row.get("chargedescription") or row.get("skumeter") or "")
        return _ChargeClass(google_category(sku), google_meter(sku))
    description = " ".join(str(row.get(name) or "") for name in _METER_COLUMNS)
    model = str(row.get("x_model") or row.get("skuid") or "").rpartition("/")[2] or None
    meter = UsageMeter(model, kind_of(description), tier_of(str(row.get("x_servicetier") or description)), 1)
    return _ChargeClass("tool" if "search" in description.lower() else "model", meter)


_SUBJECT_COLUMNS: Final = ("servicecategory", "x_skumetercategory", "x_skumetersubcategory")
_METER_COLUMNS: Final = ("x_usagetype", "skumeter", "chargedescription", "skuid")


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
