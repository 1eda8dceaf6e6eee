"""A month of calls, what a provider would bill for them, and exports of that bill in every documented format.

The history and the bill are the same but for differences that are planted, each in a day of its own. The
formats are written as their sources are documented, field by field, and know nothing of how they are read.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from shared.costs.ledger.line import encode
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.store import Store

START: Final = datetime(2026, 11, 1, tzinfo=UTC)
DAYS: Final = 12
INVOICE: Final = "INV-2026-11"
PACIFIC: Final = ZoneInfo("America/Los_Angeles")


@dataclass(frozen=True)
class Sold:
    """A provider's model: as our calls name it, and as its bills do."""

    service: str
    model: str
    billed_as: str = ""
    display: str = ""
    other: str = ""


SOLD: Final = {
    "openai": Sold("openai", "gpt-4o", "gpt-4o-2024-08-06", other="gpt-4o-mini"),
    "anthropic": Sold(
        "anthropic",
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        "Claude Haiku 4.5",
        other="claude-sonnet-4-5",
    ),
    "aws": Sold(
        "aws",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "Claude4.5Sonnet",
        other="anthropic.claude-haiku-4-5-20251001-v1:0",
    ),
    "azure": Sold("azure", "gpt-4o", "gpt 4o 1120", other="gpt-4o-mini"),
    "google": Sold(
        "google", "gemini-2.5-flash", "gemini 2.5 flash", "Gemini 2.5 Flash", other="gemini-2.5-pro"
    ),
    "openrouter": Sold("openrouter", "openai/gpt-4o", "openai/gpt-4o", other="openai/gpt-4o-mini"),
}


_PARTS: dict[tuple[str, str, Usage, str | None], dict[str, Nanos]] = {}
"""What calls cost by kind: prices hold throughout the month, and asking for them takes time."""


@dataclass(frozen=True)
class Call:
    """One call: on either side the same until a difference is planted."""

    number: int
    at: datetime
    service: str
    model: str
    tokens_input: int
    tokens_output: int
    tokens_cached: int = 0
    tier: str | None = None
    stage: str = "13_ai_summarization"
    fee: Decimal = Decimal(0)
    suffix: str = ""

    @property
    def id(self) -> str:
        return f"resp-{self.service}-{self.number:06d}{self.suffix}"

    @property
    def usage(self) -> Usage:
        return Usage(
            tokens_input=self.tokens_input, tokens_output=self.tokens_output, tokens_cached=self.tokens_cached
        )

    def parts(self, catalogue: Catalogue) -> dict[str, Nanos]:
        key = self.service, self.model, self.usage, self.tier
        if key not in _PARTS:
            _PARTS[key] = self._parts(catalogue)
        return _PARTS[key]

    def _parts(self, catalogue: Catalogue) -> dict[str, Nanos]:
        found = catalogue.charge(self.service, self.model, self.usage, self.at, self.tier)
        if isinstance(found, Charge):
            return dict(found.parts)
        parts = replace(self, tier=None).parts(catalogue)  # a tier that the catalogue has no price for
        return {kind: Nanos(cost if kind == "cached" else cost // 2) for kind, cost in parts.items()}

    def cost(self, catalogue: Catalogue) -> Decimal:
        return Decimal(sum(self.parts(catalogue).values())) / 1_000_000_000


@dataclass
class World:
    """Both sides, and the lines of the bill that are about no model."""

    ours: list[Call]
    theirs: list[Call]
    search_fees: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)
    currency: str = "USD"
    rate: Decimal = Decimal(1)
    """What a dollar is in the bill's currency."""
    zone: Any = UTC
    planted: dict[str, str] = field(default_factory=dict)
    """Each planted difference by the reason that it must be given."""


def calls_of(service: str, per_day: int = 8, hour: int = 9) -> list[Call]:
    """Calls of two models on each day, all of different sizes, well within the day."""
    sold, found = SOLD[service], list[Call]()
    for day in range(DAYS):
        for number in range(per_day):
            for model in (sold.model, sold.other):
                n = len(found) + 1
                at = START + timedelta(days=day, hours=hour + number % 8, minutes=n % 50, seconds=7)
                cached = 100 * (n % 3)
                found.append(Call(n, at, service, model, 1_000 + 37 * n + cached, 200 + 11 * n, cached))
    return found


def world(service: str, hour: int = 9) -> World:
    calls = calls_of(service, hour=hour)
    return World(list(calls), list(calls))


PLANTED: Final = {
    "not_recorded": "missing stage",
    "recorded_twice": "doubled call",
    "tier": "wrong tier",
    "tools": "search fees",
    "retry": "retry",
    "cache": "cache",
    "batch_day": "batch",
    "late": "late row",
}
"""What is planted, by the reason that it must be given."""


def plant(of: World, days: Sequence[int] = range(DAYS), chosen: Collection[str] = PLANTED) -> World:
    """Plant differences that every format can show, each on a day of its own, all of one model.

    ``days`` puts another day in the place of each but the last; only the ``chosen`` are planted.
    """
    model = SOLD[of.ours[0].service].model

    def on(day: int, side: Sequence[Call]) -> list[Call]:
        start = START + timedelta(days=days[day])
        return [call for call in side if call.model == model and start <= call.at < start + timedelta(days=1)]

    # a stage that logs nothing
    missing = {call.number for call in on(1, of.ours)[:3] if "not_recorded" in chosen}
    of.ours = [call for call in of.ours if call.number not in missing]
    # a call that was recorded twice
    if "recorded_twice" in chosen:
        twice = on(2, of.ours)[1]
        of.ours.append(replace(twice, at=twice.at + timedelta(seconds=2), suffix="-again"))
    # a call billed in another tier than it was recorded in
    has_tiers = of.ours[0].service != "openrouter"
    tiered = on(3, of.theirs)[2]
    if has_tiers and "tier" in chosen:
        of.theirs = [replace(call, tier="batch") if call is tiered else call for call in of.theirs]
    # fees of searches
    of.search_fees = Decimal("0.25") if "tools" in chosen else Decimal(0)
    # a retry that was answered and billed
    if "retry" in chosen:
        retried = on(5, of.theirs)[3]
        of.theirs.append(replace(retried, at=retried.at + timedelta(seconds=40), suffix="-retry"))
    # cached tokens that were recorded as fresh
    if "cache" in chosen:
        cached = on(6, of.theirs)[4].number
        of.ours = [replace(call, tokens_cached=0) if call.number == cached else call for call in of.ours]
        of.theirs = [
            replace(call, tokens_cached=900) if call.number == cached else call for call in of.theirs
        ]
    # a batch that completed the next day
    is_batch = has_tiers and "batch_day" in chosen
    batch = on(7, of.ours)[5] if is_batch else Call(-1, START, "", "", 0, 0)
    of.ours = [replace(call, tier="batch") if call is batch else call for call in of.ours]
    of.theirs = [
        replace(call, tier="batch", at=call.at + timedelta(days=1)) if call.number == batch.number else call
        for call in of.theirs
    ]
    of.credit = Decimal(-5)
    # a row that is not on the bill yet: the last day is young
    if "late" in chosen:
        of.theirs.remove(on(DAYS - 1, of.theirs)[6])
    tiers = set() if has_tiers else {"tier", "batch_day"}
    of.planted = {
        reason: what for reason, what in PLANTED.items() if reason in chosen and reason not in tiers
    }
    return of


def recorded(of: World, storage: CostStorage, catalogue: Catalogue, *, ids: bool = True) -> Store:
    """Write our side into ledgers, a job a stage, and return the store that knows them."""
    ledgers: dict[Path, list[bytes]] = defaultdict(list)
    for number, call in enumerate(of.ours):
        charge = Charge(call.parts(catalogue), PricedBy("catalogue", "1", f"{call.service}/{call.model}"))
        entry = Entry(
            id=f"{call.service[:2]}{number:026x}"[-28:].rjust(28, "0"),
            timestamp=call.at,
            job_id=f"job-{call.at:%d}",
            user_id="1",
            service=call.service,
            model=call.model,
            usage=call.usage,
            charge=charge,
            stage=call.stage,
            service_tier=call.tier,
            request_id=call.id.removesuffix("-again") if ids else None,
        )
        ledgers[storage.root / "jobs" / entry.job_id / LEDGER_NAME].append(encode(entry))
    for path, lines in ledgers.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(lines))
    storage.prepare()
    index = Store.of(storage)
    index.add(ledgers)
    return index


# --- sums of the bill

Kinds = dict[str, tuple[int, Decimal]]
"""Tokens and cost by kind: ``input`` is what was neither cached nor written."""


def buckets(
    of: World, catalogue: Catalogue, zone: Any = None
) -> Iterator[tuple[datetime, str, str | None, list[Call], Kinds]]:
    """Yield each day, model and tier of the bill with its calls and its sums by kind."""
    zone = zone or of.zone
    groups: dict[tuple[datetime, str, str | None], list[Call]] = defaultdict(list)
    for call in of.theirs:
        day = call.at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        groups[day, call.model, call.tier].append(call)
    for (day, model, tier), calls in sorted(
        groups.items(), key=lambda item: (item[0][0], item[0][1], item[0][2] or "")
    ):
        kinds: dict[str, tuple[int, Decimal]] = {}
        for call in calls:
            cost = call.parts(catalogue)
            counts = {
                "input": call.tokens_input - call.tokens_cached,
                "cached": call.tokens_cached,
                "output": call.tokens_output,
            }
            for kind, count in counts.items():
                had = kinds.get(kind, (0, Decimal(0)))
                kinds[kind] = had[0] + count, had[1] + Decimal(cost.get(kind, 0)) / 1_000_000_000
        yield day, model, tier, calls, {kind: (n, cost * of.rate) for kind, (n, cost) in kinds.items()}


def billed_name(service: str, model: str) -> str:
    sold = SOLD[service]
    return (sold.billed_as or model) if model == sold.model else model


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def by_day(rows: Sequence[tuple[datetime, dict[str, Any]]]) -> dict[datetime, list[dict[str, Any]]]:
    days: dict[datetime, list[dict[str, Any]]] = {START + timedelta(days=day): [] for day in range(DAYS)}
    for day, row in rows:
        days.setdefault(day, []).append(row)
    return days


def plain(amount: Decimal) -> str:
    return f"{amount:f}"


# --- OpenAI


def openai_usage_rows(of: World, catalogue: Catalogue) -> list[tuple[datetime, dict[str, Any]]]:
    return [
        (
            day,
            {
                "object": "organization.usage.completions.result",
                "input_tokens": kinds["input"][0] + kinds["cached"][0],
                "input_uncached_tokens": kinds["input"][0],
                "input_cached_tokens": kinds["cached"][0],
                "input_cache_write_tokens": 0,
                "output_tokens": kinds["output"][0],
                "num_model_requests": len(calls),
                "project_id": None,
                "user_id": None,
                "api_key_id": None,
                "model": billed_name("openai", model),
                "batch": tier == "batch",
                "service_tier": "default",
            },
        )
        for day, model, tier, calls, kinds in buckets(of, catalogue)
    ]


def openai_cost_rows(
    of: World, catalogue: Catalogue, *, quantities: bool = True
) -> list[tuple[datetime, dict[str, Any]]]:
    rows = []
    for day, model, tier, _calls, kinds in buckets(of, catalogue):
        for kind, name in (("input", "input"), ("cached", "cached input"), ("output", "output")):
            count, cost = kinds[kind]
            if count:
                item = f"{'batch api | ' if tier == 'batch' else ''}{billed_name('openai', model)}, {name}"
                row: dict[str, Any] = {
                    "object": "organization.costs.result",
                    "amount": {"value": plain(cost), "currency": of.currency.lower()},
                    "line_item": item,
                    "project_id": None,
                    "organization_id": "org-1",
                }
                if quantities:
                    row |= {"quantity": count, "quantity_unit": "tokens"}
                rows.append((day, row))
    if of.search_fees:
        fee = {"value": plain(of.search_fees * of.rate), "currency": of.currency.lower()}
        rows.append(
            (
                START + timedelta(days=4),
                {"object": "organization.costs.result", "amount": fee, "line_item": "web search tool calls"},
            )
        )
    if of.credit:
        fee = {"value": plain(of.credit * of.rate), "currency": of.currency.lower()}
        rows.append(
            (START, {"object": "organization.costs.result", "amount": fee, "line_item": "Promotional credit"})
        )
    return rows


def openai_page(rows: Sequence[tuple[datetime, dict[str, Any]]]) -> str:
    data = [
        {
            "object": "bucket",
            "start_time": int(day.timestamp()),
            "end_time": int((day + timedelta(days=1)).timestamp()),
            "results": results,
        }
        for day, results in by_day(rows).items()
    ]
    return json.dumps({"object": "page", "data": data, "has_more": False, "next_page": None})


def openai_csv(rows: Sequence[tuple[datetime, dict[str, Any]]]) -> str:
    flat = []
    for day, results in by_day(rows).items():
        end = day + timedelta(days=1)
        times = {
            "start_time": int(day.timestamp()),
            "end_time": int(end.timestamp()),
            "start_time_iso": day.isoformat(),
            "end_time_iso": end.isoformat(),
        }
        for result in results or [{}]:
            cells = {key: value for key, value in result.items() if key not in ("object", "amount")}
            if amount := result.get("amount"):
                cells |= {"amount_value": amount["value"], "amount_currency": amount["currency"]}
            cells = {
                key: str(value).upper()
                if isinstance(value, bool)
                else f"{value}.0"
                if key.endswith("tokens")
                else value
                for key, value in cells.items()
            }
            flat.append(times | cells)
    return as_csv(flat)


# --- Anthropic


def anthropic_usage_rows(of: World, catalogue: Catalogue) -> list[tuple[datetime, dict[str, Any]]]:
    return [
        (
            day,
            {
                "uncached_input_tokens": kinds["input"][0],
                "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
                "cache_read_input_tokens": kinds["cached"][0],
                "output_tokens": kinds["output"][0],
                "server_tool_use": {"web_search_requests": 0},
                "api_key_id": None,
                "workspace_id": None,
                "model": billed_name("anthropic", model),
                "service_tier": tier or "standard",
                "context_window": None,
            },
        )
        for day, model, tier, _calls, kinds in buckets(of, catalogue)
    ]


_TOKEN_TYPES = {
    "input": "uncached_input_tokens",
    "cached": "cache_read_input_tokens",
    "output": "output_tokens",
}


def anthropic_cost_rows(of: World, catalogue: Catalogue) -> list[tuple[datetime, dict[str, Any]]]:
    rows = []
    for day, model, tier, _calls, kinds in buckets(of, catalogue):
        for kind, (count, cost) in kinds.items():
            if count:
                rows.append(
                    (
                        day,
                        {
                            "currency": of.currency,
                            "amount": plain(cost * 100),
                            "workspace_id": None,
                            "description": f"{model} Usage - {kind}",
                            "cost_type": "tokens",
                            "context_window": "0-200k",
                            "model": billed_name("anthropic", model),
                            "service_tier": tier or "standard",
                            "token_type": _TOKEN_TYPES[kind],
                        },
                    )
                )
    extra = {
        "currency": of.currency,
        "workspace_id": None,
        "model": None,
        "service_tier": "standard",
        "token_type": None,
    }
    if of.search_fees:
        rows.append(
            (
                START + timedelta(days=4),
                extra
                | {
                    "amount": plain(of.search_fees * of.rate * 100),
                    "cost_type": "web_search",
                    "description": "Web Search Usage",
                },
            )
        )
    if of.credit:
        rows.append(
            (
                START,
                extra
                | {
                    "amount": plain(of.credit * of.rate * 100),
                    "cost_type": "tokens",
                    "description": "Credit",
                },
            )
        )
    return rows


def anthropic_page(rows: Sequence[tuple[datetime, dict[str, Any]]]) -> str:
    data = [
        {
            "starting_at": day.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "ending_at": (day + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "results": results,
        }
        for day, results in by_day(rows).items()
    ]
    return json.dumps({"data": data, "has_more": False, "next_page": None})


def console_usage(of: World, catalogue: Catalogue) -> str:
    return as_csv(
        [
            {
                "usage_date_utc": f"{day:%Y-%m-%d}",
                "model_version": billed_name("anthropic", model),
                "api_key": "pipeline",
                "workspace": "Default",
                "usage_type": tier or "standard",
                "context_window": "≤ 200k",
                "usage_input_tokens_no_cache": kinds["input"][0],
                "usage_input_tokens_cache_write_5m": 0,
                "usage_input_tokens_cache_write_1h": 0,
                "usage_input_tokens_cache_read": kinds["cached"][0],
                "usage_output_tokens": kinds["output"][0],
                "web_search_count": 0,
                "inference_geo": "global",
                "speed": "standard",
            }
            for day, model, tier, _calls, kinds in buckets(of, catalogue)
        ]
    )


CENT = Decimal("0.01")


def console_cost(of: World, catalogue: Catalogue) -> str:
    rows = []
    for day, model, tier, _calls, kinds in buckets(of, catalogue):
        name = SOLD["anthropic"].display if model == SOLD["anthropic"].model else "Claude Sonnet 4.5"
        for kind, (count, cost) in kinds.items():
            if count:
                rows.append(
                    {
                        "usage_date_utc": f"{day:%Y-%m-%d}",
                        "model": name,
                        "workspace": "Default",
                        "api_key": "pipeline",
                        "usage_type": tier or "message",
                        "context_window": "≤ 200k",
                        "token_type": _TOKEN_TYPES[kind],
                        "cost_usd": plain(cost.quantize(CENT, ROUND_HALF_EVEN)),
                        "cost_type": "token",
                        "inference_geo": "global",
                        "speed": "standard",
                    }
                )
    return as_csv(rows)


# --- routers


def litellm_csv(of: World, catalogue: Catalogue) -> str:
    return as_csv(
        [
            {
                "request_id": call.id,
                "call_type": "acompletion",
                "api_key": "88dc28d0",
                "spend": float(call.cost(catalogue)),
                "total_tokens": call.tokens_input + call.tokens_output,
                "prompt_tokens": call.tokens_input,
                "completion_tokens": call.tokens_output,
                "startTime": f"{call.at:%Y-%m-%d %H:%M:%S.%f}",
                "model": call.model,
                "custom_llm_provider": call.service,
                "metadata": json.dumps(
                    {"usage_object": {"prompt_tokens_details": {"cached_tokens": call.tokens_cached}}}
                ),
                "cache_hit": "False",
            }
            for call in of.theirs
        ]
    )


def openrouter_calls(of: World, catalogue: Catalogue, *, own_ids: bool = False) -> str:
    return as_csv(
        [
            {
                "generation_id": f"gen-{number:08d}-{call.suffix}" if own_ids else call.id,
                "created_at": f"{call.at + timedelta(seconds=own_ids):%Y-%m-%d %H:%M:%S.%f}",
                "cost_total": plain(call.cost(catalogue)),
                "byok_usage_inference": "0",
                "tokens_prompt": call.tokens_input,
                "tokens_completion": call.tokens_output,
                "tokens_reasoning": 0,
                "tokens_cached": call.tokens_cached,
                "model_permaslug": call.model,
                "provider_name": "OpenAI",
            }
            for number, call in enumerate(of.theirs)
        ]
    )


def openrouter_days(of: World, catalogue: Catalogue) -> str:
    return as_csv(
        [
            {
                "Date": f"{day:%Y-%m-%d}",
                "Slug": model,
                "Usage": plain(sum((cost for _, cost in kinds.values()), Decimal(0))),
                "BYOK Usage": "0",
                "Requests": len(calls),
                "Prompt Tokens": kinds["input"][0] + kinds["cached"][0],
                "Completion Tokens": kinds["output"][0],
                "Reasoning Tokens": 0,
            }
            for day, model, _tier, calls, kinds in buckets(of, catalogue)
        ]
    )


# --- clouds

_AWS_KINDS = {"input": "input-tokens", "cached": "cache-read-input-token-count", "output": "output-tokens"}
_AWS_NAMES = {
    "anthropic.claude-sonnet-4-5-20250929-v1:0": "Claude4.5Sonnet",
    "anthropic.claude-haiku-4-5-20251001-v1:0": "Claude4.5Haiku",
}


def cur_rows(of: World, catalogue: Catalogue) -> list[dict[str, Any]]:
    rows = []

    def row(day: datetime, kind: str, usage_type: str, amount: Decimal, quantity: Decimal) -> dict[str, Any]:
        return {
            "line_item_usage_start_date": f"{day:%Y-%m-%d %H:%M:%S}",
            "line_item_usage_end_date": f"{day + timedelta(days=1):%Y-%m-%d %H:%M:%S}",
            "line_item_line_item_type": kind,
            "line_item_product_code": "AmazonBedrock",
            "line_item_usage_type": usage_type,
            "line_item_usage_amount": plain(quantity),
            "line_item_unblended_cost": plain(amount.quantize(Decimal("1e-10"))),
            "line_item_net_unblended_cost": plain(amount.quantize(Decimal("1e-10"))),
            "line_item_currency_code": of.currency,
            "line_item_iam_principal": "",
            "bill_invoice_id": INVOICE,
            "pricing_unit": "1K tokens",
            "product": json.dumps({"product_name": "Amazon Bedrock"}),
        }

    for day, model, tier, _calls, kinds in buckets(of, catalogue):
        for kind, (count, cost) in kinds.items():
            if count:
                usage_type = (
                    f"USE1-{_AWS_NAMES[model]}-{_AWS_KINDS[kind]}{'-batch' if tier == 'batch' else ''}"
                )
                rows.append(row(day, "Usage", usage_type, cost, Decimal(count) / 1_000))
    if of.credit:
        rows.append(
            row(START, "Credit", "USE1-Claude4.5Sonnet-input-tokens", of.credit * of.rate, Decimal(0))
        )
        rows.append(row(START, "Tax", "", Decimal("1.9"), Decimal(0)))
    return rows


def focus_rows(of: World, catalogue: Catalogue) -> list[dict[str, Any]]:
    rows = []

    def row(
        day: datetime,
        category: str,
        what: str,
        model: str,
        amount: Decimal,
        quantity: int,
    ) -> dict[str, Any]:
        return {
            "BilledCost": plain(amount.quantize(Decimal("1e-10"))),
            "BillingCurrency": of.currency,
            "InvoiceId": INVOICE,
            "ChargeCategory": category,
            "ChargeDescription": f"{model}: {what}",
            "ChargePeriodStart": f"{day:%Y-%m-%dT%H:%M:%SZ}",
            "ChargePeriodEnd": f"{day + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
            "ConsumedQuantity": quantity,
            "ConsumedUnit": "Tokens",
            "ProviderName": "OpenAI",
            "ServiceName": "OpenAI",
            "SkuId": f"openai/{model}",
            "SkuMeter": what,
            "x_ServiceTier": "",
        }

    names = {"input": "Input Tokens", "cached": "Cached Input Tokens", "output": "Output Tokens"}
    for day, model, tier, _calls, kinds in buckets(of, catalogue):
        for kind, (count, cost) in kinds.items():
            if count:
                rows.append(
                    row(day, "Usage", names[kind], model, cost, count) | {"x_ServiceTier": tier or ""}
                )
    if of.search_fees:
        rows.append(
            row(START + timedelta(days=4), "Usage", "Web Searches", "gpt-4o", of.search_fees * of.rate, 25)
        )
    if of.credit:
        rows.append(row(START, "Credit", "Credit", "", of.credit * of.rate, 0))
    return rows


_AZURE_KINDS = {"input": "Inp", "cached": "cached Inp", "output": "Outp"}


def azure_rows(of: World, catalogue: Catalogue) -> list[dict[str, Any]]:
    rows = []

    def row(day: datetime, meter: str, charge: str, amount: Decimal, quantity: Decimal) -> dict[str, Any]:
        return {
            "\ufeffInvoiceId": INVOICE,
            "date": f"{day:%m/%d/%Y}",
            "meterCategory": "Foundry Models",
            "meterSubCategory": "Azure OpenAI",
            "meterName": meter,
            "quantity": plain(quantity),
            "unitOfMeasure": "1K",
            "costInBillingCurrency": plain(amount),
            "billingCurrency": of.currency,
            "costInUsd": "" if of.currency != "USD" else plain(amount),
            "chargeType": charge,
            "serviceFamily": "AI + Machine Learning",
        }

    for day, model, tier, _calls, kinds in buckets(of, catalogue):
        name = "gpt 4o 1120" if model == "gpt-4o" else "gpt 4o mini 0718"
        for kind, (count, cost) in kinds.items():
            if count:
                meter = f"{name} {'Batch ' if tier == 'batch' else ''}{_AZURE_KINDS[kind]} glbl Tokens"
                rows.append(row(day, meter, "Usage", cost.quantize(Decimal("1e-10")), Decimal(count) / 1_000))
    if of.credit:
        rows.append(row(START, "Credit", "Refund", of.credit * of.rate, Decimal(0)))
    return rows


def azure_focus(of: World, catalogue: Catalogue) -> str:
    """Return the same as Microsoft exports it in FOCUS 1.2, with the other services of the account."""
    rows = []
    for row in azure_rows(of, catalogue):
        day = datetime.strptime(row["date"], "%m/%d/%Y").replace(tzinfo=UTC)
        charged = {
            "BillingCurrency": of.currency,
            "ChargeCategory": "Usage",
            "ChargePeriodStart": f"{day:%Y-%m-%dT%H:%M:%SZ}",
            "ChargePeriodEnd": f"{day + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
            "InvoiceId": INVOICE,
            "ProviderName": "Microsoft",
        }
        rows.append(
            {
                **charged,
                "BilledCost": row["costInBillingCurrency"],
                "ChargeCategory": "Usage" if row["chargeType"] == "Usage" else "Credit",
                "ServiceCategory": "AI and Machine Learning",
                "ServiceName": "Azure OpenAI",
                "SkuId": "DZH318Z0BQ35/0001",
                "SkuMeter": row["meterName"],
                "ConsumedQuantity": plain(Decimal(row["quantity"]) * 1_000),
                "ConsumedUnit": "Units",
                "PricingQuantity": row["quantity"],
                "PricingUnit": "1K",
            }
        )
        machine = {"ServiceName": "Virtual Machines", "ServiceCategory": "Compute", "SkuMeter": "D2s v3"}
        rows.append({**charged, **machine, "BilledCost": "2.3", "SkuId": "DZH318Z08M3R/0004"})
    return as_csv(rows)


def _google_sku(model: str, kind: str, tier: str | None) -> str:
    name = model.replace("-", " ")
    what = {"input": "input", "cached": "cached input", "output": "output"}[kind]
    return f"Generate content {what} token count {name} text{' batch' if tier == 'batch' else ''}"


def google_rows(of: World, catalogue: Catalogue) -> list[dict[str, Any]]:
    rows = []
    for call in of.theirs:
        hour = call.at.replace(minute=0, second=0)
        parts = call.parts(catalogue)
        counts = {
            "input": call.tokens_input - call.tokens_cached,
            "cached": call.tokens_cached,
            "output": call.tokens_output,
        }
        for kind, count in counts.items():
            if count:
                cost = Decimal(parts.get(kind, 0)) / 1_000_000_000 * of.rate
                rows.append(
                    {
                        "service": {"description": "Generative Language API"},
                        "sku": {"id": "0000", "description": _google_sku(call.model, kind, call.tier)},
                        "usage_start_time": f"{hour:%Y-%m-%d %H:%M:%S} UTC",
                        "usage_end_time": f"{hour + timedelta(hours=1):%Y-%m-%d %H:%M:%S} UTC",
                        "project": {"id": "pipeline"},
                        "usage": {"amount": count, "unit": "requests"},
                        "cost": float(cost.quantize(Decimal("1e-9"))),
                        "currency": of.currency,
                        "currency_conversion_rate": float(of.rate),
                        "credits": [],
                        "cost_type": "regular",
                    }
                )
    if of.search_fees:
        rows.append(
            rows[0]
            | {
                "sku": {"id": "1", "description": "Grounding with Google Search gemini"},
                "usage_start_time": f"{START + timedelta(days=4, hours=3):%Y-%m-%d %H:%M:%S} UTC",
                "usage_end_time": f"{START + timedelta(days=4, hours=4):%Y-%m-%d %H:%M:%S} UTC",
                "cost": float(of.search_fees * of.rate),
            }
        )
    if of.credit:
        rows[0]["credits"] = [{"name": "Free trial", "amount": float(of.credit * of.rate)}]
    return rows


def google_console(of: World, catalogue: Catalogue) -> str:
    rows: list[dict[str, Any]] = []
    sign = {"USD": "$", "EUR": "€"}[of.currency]
    for day, model, tier, _calls, kinds in buckets(of, catalogue, PACIFIC):
        for kind, (count, cost) in kinds.items():
            if count:
                rows.append(
                    {
                        "Date": f"{day:%Y-%m-%d}",
                        "Service description": "Gemini API",
                        "Service ID": "AEFD",
                        "SKU description": _google_sku(model, kind, tier),
                        "SKU ID": "0000",
                        "Usage amount": f"{count:,}",
                        "Usage unit": "count",
                        f"List cost ({sign})": plain(cost),
                        f"Unrounded subtotal ({sign})": plain(cost.quantize(Decimal("1e-9"))),
                        f"Subtotal ({sign})": plain(cost.quantize(CENT)),
                    }
                )
    total = sum((Decimal(row[f"Unrounded subtotal ({sign})"]) for row in rows), Decimal(0))
    rows += [
        {"Date": name, f"Unrounded subtotal ({sign})": plain(total), f"Subtotal ({sign})": plain(total)}
        for name in ("Subtotal", "Tax", "Filtered total")
    ]
    return as_csv(rows)


def json_lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


Writer = Callable[[World, Catalogue], dict[str, str]]


@dataclass(frozen=True)
class Format:
    """One way to write a bill: its service, the files, and what of the planted it cannot show, and why."""

    service: str
    write: Writer
    cannot: dict[str, str] = field(default_factory=dict)
    has_credit: bool = True
    by_id: bool = False
    costs: bool = True
    moves: tuple[str, ...] = ()


_NO_FEES = {"tools": "it has no fees of tools"}
_NO_COST = {"tools": "it states no amounts"}
_NO_DAYS = {
    "batch_day": "single calls have no days",
    "late": "it ends with its last call: what it leaves out is not billed",
}

FORMATS: Final = {
    "openai-usage+costs": Format(
        "openai",
        lambda of, c: {
            "usage.json": openai_page(openai_usage_rows(of, c)),
            "costs.json": openai_page(openai_cost_rows(of, c)),
        },
    ),
    "openai-csv": Format(
        "openai",
        lambda of, c: {
            "usage.csv": openai_csv(openai_usage_rows(of, c)),
            "costs.csv": openai_csv(openai_cost_rows(of, c)),
        },
    ),
    "openai-usage": Format(
        "openai",
        lambda of, c: {"usage.json": openai_page(openai_usage_rows(of, c))},
        _NO_COST,
        has_credit=False,
        costs=False,
    ),
    "openai-costs": Format("openai", lambda of, c: {"costs.json": openai_page(openai_cost_rows(of, c))}),
    "openai-costs-bare": Format(
        "openai", lambda of, c: {"costs.json": openai_page(openai_cost_rows(of, c, quantities=False))}
    ),
    "anthropic-usage": Format(
        "anthropic",
        lambda of, c: {"usage.json": anthropic_page(anthropic_usage_rows(of, c))},
        _NO_COST,
        has_credit=False,
        costs=False,
    ),
    "anthropic-costs": Format(
        "anthropic", lambda of, c: {"costs.json": anthropic_page(anthropic_cost_rows(of, c))}
    ),
    "anthropic-console": Format(
        "anthropic",
        lambda of, c: {"usage.csv": console_usage(of, c), "cost.csv": console_cost(of, c)},
        _NO_FEES,
        has_credit=False,
    ),
    "litellm": Format(
        "openai",
        lambda of, c: {"spend.csv": litellm_csv(of, c)},
        _NO_FEES | _NO_DAYS,
        has_credit=False,
        by_id=True,
    ),
    "openrouter-calls": Format(
        "openrouter",
        lambda of, c: {"activity.csv": openrouter_calls(of, c)},
        _NO_FEES | _NO_DAYS,
        has_credit=False,
        by_id=True,
    ),
    "openrouter-days": Format(
        "openrouter",
        lambda of, c: {"activity.csv": openrouter_days(of, c)},
        _NO_FEES,
        has_credit=False,
    ),
    "aws-cur": Format("aws", lambda of, c: {"cur.csv": as_csv(cur_rows(of, c))}, _NO_FEES),
    "focus": Format("openai", lambda of, c: {"focus.csv": as_csv(focus_rows(of, c))}),
    "azure": Format("azure", lambda of, c: {"azure.csv": as_csv(azure_rows(of, c))}, _NO_FEES),
    "azure-focus": Format("azure", lambda of, c: {"focus.csv": azure_focus(of, c)}, _NO_FEES),
    "google-billing": Format("google", lambda of, c: {"billing.json": json_lines(google_rows(of, c))}),
    "google-console": Format(
        "google", lambda of, c: {"console.csv": google_console(of, c)}, _NO_FEES, has_credit=False
    ),
}
