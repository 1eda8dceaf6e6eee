"""FOCUS, the format of cloud costs: versions 1.2, which most tools read, to 1.4, the newest (June 2026).

The versions differ in the columns for a service's seller: 1.3 (December 2025) has both the earlier names and
those that 1.4 keeps (https://github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec/releases). A service has
a provider, and a host that the ledger does not know.

FOCUS (https://focus.finops.org) has one row for each charge of one meter, so an entry becomes one row per
part of its cost: input tokens, cached tokens, output tokens, audio seconds ... each with its quantity and its
amount. The meaning of FOCUS's columns here:

* the *provider* is the service, the *SKU* its model, the *meter* the kind of unit; a *SKU price* is
  a SKU's meter under a service tier;
* all four costs are the charge: there are no discounts or commitments, and an invoice only if
  ``reconcile --adjust`` took the amount from a bill that names it;
* the billing account is the user, since the ledger knows no account of the provider's;
* an adjustment is of the category ``Adjustment``; a reversal is ``Usage`` with negative amounts;
* an unpriced call has costs of 0, because FOCUS allows no null there, and ``x_Unpriced`` true.

Columns of our own begin with ``x_``. Counts of whole calls (``x_TokensInput`` ...) are only on an entry's
first row, so that they can be summed over the file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final

from ...ledger.cells import seconds_text
from ...ledger.columns import dumps, instant_text
from ...model import Entry, Usage
from ...money import ZERO, Nanos, json_number
from ...units import FRACTIONAL_FIELDS, USAGE_FIELDS
from ..source import EntrySource
from . import Export, ExportContext, counted
from .csv import guarded


@dataclass(frozen=True, slots=True)
class FocusMeter:
    """A kind of unit that is charged: FOCUS's name for the meter, its unit, and the usage field.

    ``within`` are parts that count some of the same units: if they have a charge of their own, it is
    subtracted.
    """

    name: str
    unit: str
    count: str
    within: tuple[str, ...] = ()


_INPUT_PARTS: Final = (
    "cached",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "audio_cached",
    "image_input",
    "image_cached",
)
_OUTPUT_PARTS: Final = ("reasoning", "audio_output", "image_output")

METERS: Final[Mapping[str, FocusMeter]] = {
    "input": FocusMeter("Input Tokens", "Tokens", "tokens_input", _INPUT_PARTS),
    "cached": FocusMeter("Cached Input Tokens", "Tokens", "tokens_cached", ("audio_cached", "image_cached")),
    "cache_write": FocusMeter("Cache Write Tokens", "Tokens", "tokens_cache_write", ("cache_write_1h",)),
    "cache_write_1h": FocusMeter("Cache Write Tokens (1 Hour)", "Tokens", "tokens_cache_write_1h"),
    "audio_input": FocusMeter("Audio Input Tokens", "Tokens", "tokens_audio_input", ("audio_cached",)),
    "audio_cached": FocusMeter("Cached Audio Input Tokens", "Tokens", "tokens_audio_cached"),
    "image_input": FocusMeter("Image Input Tokens", "Tokens", "tokens_image_input", ("image_cached",)),
    "image_cached": FocusMeter("Cached Image Input Tokens", "Tokens", "tokens_image_cached"),
    "output": FocusMeter("Output Tokens", "Tokens", "tokens_output", _OUTPUT_PARTS),
    "reasoning": FocusMeter("Reasoning Tokens", "Tokens", "tokens_reasoning"),
    "audio_output": FocusMeter("Audio Output Tokens", "Tokens", "tokens_audio_output"),
    "image_output": FocusMeter("Image Output Tokens", "Tokens", "tokens_image_output"),
    "audio_seconds": FocusMeter("Audio Duration", "Seconds", "audio_seconds"),
    "characters": FocusMeter("Characters", "Characters", "characters"),
    "images": FocusMeter("Images", "Images", "images"),
    "pages": FocusMeter("Pages", "Pages", "pages"),
    "requests": FocusMeter("Requests", "Requests", "requests"),
    "web_searches": FocusMeter("Web Searches", "Requests", "web_searches"),
    "preview_searches": FocusMeter("Web Searches (Preview)", "Requests", "preview_searches"),
    "maps_searches": FocusMeter("Map Searches", "Requests", "maps_searches"),
    "file_searches": FocusMeter("File Searches", "Requests", "file_searches"),
    "search_units": FocusMeter("Search Units", "Units", "search_units"),
    "containers": FocusMeter("Containers", "Containers", "containers"),
    "video_seconds": FocusMeter("Video Duration", "Seconds", "video_seconds"),
    "gpu_seconds": FocusMeter("GPU Duration", "Seconds", "gpu_seconds"),
    "session_seconds": FocusMeter("Session Duration", "Seconds", "session_seconds"),
    "cache_token_hours": FocusMeter("Cache Storage", "Token-Hours", "cache_token_hours"),
    "pixels": FocusMeter("Pixels", "Pixels", "pixels"),
    "billable_units": FocusMeter("Billable Units", "Units", "billable_units"),
}
"""Every part a charge can have, by its name in ``cost_parts``."""

WHOLE_CALL: Final = FocusMeter("Calls", "Requests", "")
"""The meter of a charge whose kinds of units are not known: one request."""


def quantity(part: str, usage: Usage, charged: Collection[str]) -> int:
    """Return how much of a part's unit a call used, in millionths; never below zero.

    ``charged`` are all parts of the call's charge: units charged under another part are not counted here.

    >>> quantity("input", Usage(tokens_input=1000, tokens_cached=800), ["input", "cached"])
    200000000
    >>> quantity("input", Usage(tokens_input=1000, tokens_cached=800), ["input"])
    1000000000
    """
    meter = METERS.get(part, WHOLE_CALL)
    if not meter.count:
        return _MILLION
    used = round(float(getattr(usage, meter.count)) * _MILLION)
    if part == "requests":
        return max(used, _MILLION)  # a fee per request is charged once if requests were not counted
    return max(0, used - sum(quantity(other, usage, charged) for other in meter.within if other in charged))


_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """The content of one row: a part of an entry's cost. ``first`` is true for an entry's first part."""

    entry: Entry
    part: str
    amount: Nanos
    first: bool

    @property
    def is_usage(self) -> bool:
        """Whether the row has quantities: an adjustment changes only amounts."""
        return self.entry.kind != "adjustment"

    @property
    def meter(self) -> FocusMeter:
        """The meter that the part is charged by."""
        return METERS.get(self.part, WHOLE_CALL)

    @property
    def quantity(self) -> str | None:
        """How much was used, as a decimal; negative for a reversal."""
        if not self.is_usage:
            return None
        charged = self.entry.charge.parts if self.entry.charge else ()
        millionths = self.entry.sign * quantity(self.part, self.entry.usage, charged)
        return json_number(Nanos(millionths * 1_000))

    @property
    def sku(self) -> str | None:
        """The SKU: the model, by the catalogue's name if it was priced."""
        if not self.is_usage:
            return None
        charge = self.entry.charge
        return charge.priced_by.model if charge else f"{self.entry.service}/{self.entry.model}"

    @property
    def sku_price(self) -> str | None:
        """The SKU price: the SKU's meter under the service tier."""
        tier = self.entry.service_tier or "standard"
        return f"{self.sku}/{self.part or 'call'}/{tier}" if self.is_usage else None


def charges(entry: Entry) -> Iterator[ChargeRow]:
    """Return an entry's rows: one per part of its cost, or one of 0 if it has none."""
    parts = entry.charge.parts if entry.charge else {}
    for number, (part, amount) in enumerate((parts or {"": ZERO}).items()):
        yield ChargeRow(entry, part, amount, first=number == 0)


Cell = str | int | float | None
FocusColumn = tuple[str, Callable[[ChargeRow], Cell]]


def _invoice(row: ChargeRow) -> str | None:
    """Return the invoice of a charge that a bill decided; computed charges are on none."""
    metadata = row.entry.metadata
    is_billed = "bill_line" in metadata and "invoice_id" in metadata
    return guarded(str(metadata["invoice_id"])) if is_billed else None


def _text(value: str | None) -> str | None:
    return None if value is None else guarded(value)


def guarded_service(row: ChargeRow) -> str:
    """Return the service's name: FOCUS's provider."""
    return guarded(row.entry.service)


def _cost(row: ChargeRow) -> str:
    return json_number(row.amount)


def _hour(row: ChargeRow) -> datetime:
    return row.entry.counted_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _month_after(row: ChargeRow) -> datetime:
    first = _month(row)
    return (first + timedelta(days=32)).replace(day=1)


def _month(row: ChargeRow) -> datetime:
    return _hour(row).replace(day=1, hour=0)


def _instant(at: datetime) -> str:
    """Return an instant in FOCUS's format: ISO 8601 in UTC, whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _description(row: ChargeRow) -> str:
    entry = row.entry
    if entry.charge is None and entry.kind == "usage":
        return guarded(f"{entry.model}: unpriced, no price is known")
    adjusted = f"adjustment of {entry.corrects}: {entry.why}" if entry.corrects else "credit"
    subject = row.meter.name if row.is_usage else adjusted
    return guarded(f"{entry.model}: {subject}")


def _tags(row: ChargeRow) -> str | None:
    """Return the entry's tags as FOCUS's key-value text; a tag without a value is ``true``."""
    return json.dumps(dict.fromkeys(row.entry.tags, True)) if row.entry.tags else None


def _is_unpriced(row: ChargeRow) -> str:
    return str(row.entry.charge is None and row.entry.kind == "usage").lower()


COMMON: Final[tuple[FocusColumn, ...]] = (
    ("BilledCost", _cost),
    ("BillingAccountId", lambda row: guarded(row.entry.user_id)),
    ("BillingAccountName", lambda row: guarded(row.entry.user_id)),
    ("BillingCurrency", lambda _row: "USD"),
    ("BillingPeriodEnd", lambda row: _instant(_month_after(row))),
    ("BillingPeriodStart", lambda row: _instant(_month(row))),
    ("ChargeCategory", lambda row: "Usage" if row.is_usage else "Adjustment"),
    # Always null: it marks corrections of *closed* periods, and ours belong to the period of what they
    # correct.
    ("ChargeClass", lambda _row: None),
    ("ChargeDescription", _description),
    ("ChargeFrequency", lambda row: "Usage-Based" if row.is_usage else "One-Time"),
    ("ChargePeriodEnd", lambda row: _instant(_hour(row) + timedelta(hours=1))),
    ("ChargePeriodStart", lambda row: _instant(_hour(row))),
    ("CommitmentDiscountStatus", lambda _row: None),  # no commitments; rules on quantities refer to it
    ("ConsumedQuantity", lambda row: row.quantity),
    ("ConsumedUnit", lambda row: row.meter.unit if row.is_usage else None),
    ("ContractedCost", _cost),
    ("EffectiveCost", _cost),
    ("InvoiceId", _invoice),
    ("InvoiceIssuerName", guarded_service),
    ("ListCost", _cost),
    ("PricingCategory", lambda row: "Standard" if row.is_usage else None),
    ("PricingQuantity", lambda row: row.quantity),
    ("PricingUnit", lambda row: row.meter.unit if row.is_usage else None),
    ("ServiceCategory", lambda _row: "AI and Machine Learning"),
    ("ServiceName", guarded_service),
    ("ServiceSubcategory", lambda _row: "Generative AI"),
    ("SkuId", lambda row: _text(row.sku)),
    ("SkuMeter", lambda row: row.meter.name if row.is_usage else None),
    ("SkuPriceId", lambda row: _text(row.sku_price)),
    ("Tags", _tags),
)
"""The columns that every version has."""

_OWN: Final[tuple[FocusColumn, ...]] = (
    ("x_EntryId", lambda row: row.entry.id),
    ("x_EntryKind", lambda row: row.entry.kind),
    ("x_Timestamp", lambda row: instant_text(row.entry.timestamp)),
    ("x_JobId", lambda row: guarded(row.entry.job_id)),
    ("x_Stage", lambda row: _text(row.entry.stage)),
    ("x_Attempt", lambda row: row.entry.attempt),
    ("x_Model", lambda row: guarded(row.entry.model)),
    ("x_Part", lambda row: row.part or None),
    ("x_ServiceTier", lambda row: _text(row.entry.service_tier)),
    ("x_RequestId", lambda row: _text(row.entry.request_id)),
    ("x_Operation", lambda row: _text(row.entry.operation)),
    ("x_Workflow", lambda row: _text(row.entry.workflow)),
    ("x_Project", lambda row: _text(row.entry.project)),
    ("x_PriceSource", lambda row: row.entry.charge.priced_by.source if row.entry.charge else None),
    ("x_Estimated", lambda row: str(row.entry.estimated).lower()),
    ("x_Unpriced", _is_unpriced),
    ("x_CostState", lambda row: row.entry.cost_state),
    (
        "x_UnpricedUnits",
        lambda row: dumps(dict(row.entry.unpriced_units)) if row.entry.unpriced_units else None,
    ),
    ("x_Calls", lambda row: row.entry.sign if row.first else None),
)


def _count_column(name: str) -> FocusColumn:
    def signed(row: ChargeRow) -> Cell:
        if not row.first:
            return None
        count = row.entry.sign * getattr(row.entry.usage, name)
        return seconds_text(count) if name in FRACTIONAL_FIELDS else count

    return ("x_" + "".join(word.capitalize() for word in name.split("_")), signed)


OWN: Final = (*_OWN, *(_count_column(name) for name in USAGE_FIELDS))
"""Our own columns. Counts are of the whole call and only on its first row."""


def write_focus(
    version_columns: tuple[FocusColumn, ...], source: EntrySource, target: Path, context: ExportContext
) -> int:
    """Write entries as FOCUS rows in CSV: common and version columns by name, then ours."""
    columns = (*sorted((*COMMON, *version_columns), key=itemgetter(0)), *OWN)
    written = 0
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([name for name, _ in columns])
        for entry in counted(source.entries(), context):
            writer.writerows([[cell(row) for _, cell in columns] for row in charges(entry)])
            written += 1
    return written


_HOST: Final[FocusColumn] = ("HostProviderName", lambda _row: None)
_EARLIER_NAMES: Final[tuple[FocusColumn, ...]] = (
    ("ProviderName", guarded_service),
    ("PublisherName", guarded_service),
)
_SERVICE: Final[FocusColumn] = ("ServiceProviderName", guarded_service)


def _export(version: str, *named: FocusColumn) -> Export:
    summary = f"FOCUS {version} rows, one per kind of unit charged."
    return Export(f"focus-{version}", ".csv", summary, partial(write_focus, named))


FOCUS_1_2: Final = _export("1.2", *_EARLIER_NAMES)
FOCUS_1_3: Final = _export("1.3", _HOST, *_EARLIER_NAMES, _SERVICE)
FOCUS_1_4: Final = _export("1.4", _SERVICE, _HOST)
