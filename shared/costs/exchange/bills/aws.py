"""AWS Cost and Usage Report 2.0: lines of Bedrock.

``USE1-Claude4.6Opus-input-tokens[-batch]``, ``..-cache-read-input-token-count`` and
``..-mantle-cache-write-tokens-1h-standard`` count thousands; the marketplace's
``USE1-MP:USE1_InputTokenCount-Units`` counts millions, with the model only in the product's name (seen in
November 2026). Lines appear up to two days late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from ..foreign import decimal_of, nested
from . import BillFormat, BillLine, Category, Statement, end_of_line, instant
from ._clouds import TWO_DAYS, UsageMeter, counts_of, having, index_of, kind_of, reader_of, tier_of

_AWS_TYPE: Final = re.compile(
    r"(?:[A-Z]{2,4}\d?-)?(?P<model>.+?)-(?:mantle-)?"
    r"(?:(?:input|output)-|cache-(?:read|write)-(?:input-)?)tokens?(?:-count)?(?:-(?:1-hour|1h|5m))?"
    r"(?:-cross-region)?(?:-global)?(?:-(?:standard|batch|flex|priority))?",
    re.IGNORECASE,
)
_AWS_MARKET: Final = re.compile(
    r"(?:[A-Z]{2,4}\d?-)?MP:.*?_(?P<kind>\w*?)(?:Token)?Count\w*-Units", re.IGNORECASE
)


def aws_meter(usage_type: str, product: str) -> UsageMeter:
    """Return what an AWS usage type counts.

    >>> aws_meter("USE1-Claude4.6Opus-input-tokens-batch", "Amazon Bedrock")
    UsageMeter(model='Claude4.6Opus', kind='input', tier='batch', scale=1000)
    >>> aws_meter("USE1-MP:USE1_InputTokenCount-Units", "Claude Sonnet 4.5 (Amazon Bedrock Edition)").scale
    1000000
    """
    if match := _AWS_MARKET.fullmatch(usage_type):
        model = re.sub(r"\s*\(.*", "", product)
        return UsageMeter(
            model, kind_of(f"{match['kind']} tokens"), tier_of(usage_type.replace("_", " ")), 1_000_000
        )
    type_match = _AWS_TYPE.fullmatch(usage_type)
    return UsageMeter(
        type_match["model"] if type_match else None, kind_of(usage_type), tier_of(usage_type), 1_000
    )


_AWS_CATEGORIES: Final[Mapping[str, Category]] = {
    "usage": "model",
    "discountedusage": "model",
    "tax": "tax",
    "credit": "credit",
    "refund": "credit",
    "edpdiscount": "credit",
    "bundleddiscount": "credit",
    "privatediscount": "credit",
}


def _cur_line(statement: Statement, where: str, row: Mapping[str, Any]) -> BillLine | None:
    kind = str(row["line_item_line_item_type"]).lower()
    category: Category = _AWS_CATEGORIES.get(kind, "other")
    code = str(row.get("line_item_product_code") or "")
    usage_type = str(row.get("line_item_usage_type") or "")
    product = str(
        row.get("product_product_name")
        or row.get("product_name")
        or nested(row.get("product")).get("product_name")
        or ""
    )
    if (code or category in ("model", "other")) and not is_bedrock(code, usage_type, product):
        return None
    at = instant(row["line_item_usage_start_date"])
    statement.cover(at, end_of_line(row.get("line_item_usage_end_date"), at, timedelta(hours=1)))
    statement.currency = str(row.get("line_item_currency_code") or "USD").upper()
    statement.has_tiers = True
    meter = aws_meter(usage_type, product)
    if category == "model" and meter.model is None:
        category = "other"
    return BillLine(
        where,
        "aws",
        at,
        meter.model,
        category,
        meter.tier,
        str(row.get("line_item_iam_principal") or "") or None,
        counts=counts_of(meter.kind, decimal_of(row.get("line_item_usage_amount")), meter.scale)
        if category == "model"
        else None,
        amount=decimal_of(row["line_item_unblended_cost"]),
        label=usage_type,
        kind=index_of(meter.kind),
        invoice=str(row.get("bill_invoice_id") or ""),
    )


def is_bedrock(code: str, usage_type: str, product: str) -> bool:
    """Tell whether an AWS charge is for Bedrock, or for a model that the marketplace sells on it."""
    return "bedrock" in f"{code} {product}".lower() or _AWS_TYPE.fullmatch(usage_type) is not None


BILLS: Final = (
    BillFormat(
        "aws-cur",
        "AWS Cost and Usage Report 2.0 (Bedrock), as CSV or Parquet.",
        having("line_item_usage_type", "line_item_unblended_cost"),
        reader_of(_cur_line),
        unit=Decimal("1e-10"),
        lateness=TWO_DAYS,
    ),
)
