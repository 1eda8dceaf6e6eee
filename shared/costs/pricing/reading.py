"""Reads price files (YAML) into the plain form of a book, and refuses everything outside the format.

Separate from ``book``, because a process needs it only when a price file has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from ..units import FRACTIONAL_FIELDS, USAGE_FIELDS
from ..yaml_strict import Node
from .book import TIERS
from .names import normalize_service
from .rates import SINCE_ESTIMATED, UNITS, Price, PriceList, Rate, Rates, Step, rates_to_plain, to_plain

_PER_TOKENS: Final = frozenset(part for part, unit in UNITS.items() if unit.field.startswith("tokens_"))
_PER_UNIT: Final = {
    "per_audio_minute": "audio_seconds",
    "per_million_characters": "characters",
    "per_image": "images",
    "per_video_second": "video_seconds",
    "per_thousand_pages": "pages",
    "per_thousand_requests": "requests",
    "per_thousand_web_searches": "web_searches",
    "per_thousand_preview_searches": "preview_searches",
    "per_thousand_maps_searches": "maps_searches",
    "per_thousand_file_searches": "file_searches",
    "per_thousand_search_units": "search_units",
    "per_container": "containers",
    "per_gpu_hour": "gpu_seconds",
    "per_session_hour": "session_seconds",
    "per_million_cache_token_hours": "cache_token_hours",
    "per_billion_pixels": "pixels",
    "per_billable_unit": "billable_units",
}
_PER_OTHER: Final = {"per_audio_hour": ("audio_seconds", 3_600_000_000)}
"""Other ways to write the rate of a unit, for services whose own price list uses them."""
_RATE_KEYS: Final = frozenset({"per_million_tokens", *_PER_UNIT, *_PER_OTHER})
_PRICE_KEYS: Final = _RATE_KEYS | {
    "since",
    "since_estimated",
    "source",
    "above_input_tokens",
    "context_tokens",
    "hours_utc",
    "days",
    "except_days",
    "included",
    "free",
    "unverified",
    "minimum_audio_seconds",
    "minimums",
    "steps",
    "per_channel",
    "note",
}
_MODEL_KEYS: Final = frozenset({"aliases", "class", "complete", "prices", "tiers"})
_MAX_USD: Final = 1_000_000
_MAX_COUNT: Final = 1_000_000_000


def read_book(files: Iterable[Node]) -> dict[str, Any]:
    """Return the plain form of price files.

    Raises:
        FileRefused: (the subclass that the files were parsed with) for anything outside the format.
    """
    plain: dict[str, Any] = {
        "checked": "",
        "models": {},
        "names": {},
        "aliases": {},
        "avoided": {},
        "classes": {},
        "retired": [],
        "references": {},
        "services": {},
        "same_as": {},
        "surcharges": [],
        "fees": [],
        "addons": [],
        "notices": {},
        "local_services": [],
    }
    readers: dict[str, Callable[[Node, dict[str, Any]], None]] = {
        "checked": _read_checked,
        "models": _read_models,
        "aliases": _read_aliases,
        "avoided": _read_avoided,
        "classes": _read_classes,
        "services": _read_services,
        "surcharges": _read_surcharges,
        "fees": _read_fees,
        "addons": _read_addons,
        "notices": _read_notices,
        "local_services": _read_local_services,
    }
    for top in files:
        for key, node in top.only(readers).items():
            readers[key](node, plain)
    return plain


def _read_checked(node: Node, plain: dict[str, Any]) -> None:
    """Keep the earliest day: one file that was not checked makes all of them old."""
    day = node.day().isoformat()
    plain["checked"] = min(plain["checked"] or day, day)


def _read_models(node: Node, plain: dict[str, Any]) -> None:
    for key, model in node.map().items():
        name = _model_name(key, model)
        if name in plain["names"]:
            raise model.refused(f"{name} has a price already", "keep one of the two")
        prices = _price_list(name, model)
        plain["models"][name] = to_plain(prices)
        if kind := model.get("class"):
            plain["classes"][name] = kind.text()
        for alias in (name, *prices.aliases):
            if plain["names"].setdefault(alias, name) != name:
                raise model.refused(f"{alias} is already a name of {plain['names'][alias]}", "keep one")


def _model_name(key: str, node: Node) -> str:
    service, slash, name = key.strip().lower().partition("/")
    if not slash or not service or not name:
        raise node.refused(f"{key!r} names no service", "write it as service/model, such as openai/gpt-4o")
    return f"{normalize_service(service)}/{name}"


def _price_list(name: str, node: Node) -> PriceList:
    is_list = "prices" in node
    fields = node.only(_MODEL_KEYS if is_list else (_MODEL_KEYS - {"prices"}) | _PRICE_KEYS)
    service = name.partition("/")[0]
    aliases = fields["aliases"].items() if "aliases" in fields else ()
    tiers = fields["tiers"].only(TIERS) if "tiers" in fields else {}
    listed = _prices(fields["prices"]) if is_list else (_price(node, also=_MODEL_KEYS),)
    return PriceList(
        name=name,
        prices=listed,
        tiers={tier: listed if _is_standard(prices) else _prices(prices) for tier, prices in tiers.items()},
        aliases=tuple(f"{service}/{alias.text().strip().lower()}" for alias in aliases),
        local=service == "local",
        complete="complete" in fields and fields["complete"].boolean(),
    )


def _is_standard(node: Node) -> bool:
    """Whether a tier has the standard prices: live speech of a model that does nothing else."""
    return not node.is_list and not node.is_map and node.choice(("standard",)) == "standard"


def _prices(node: Node) -> tuple[Price, ...]:
    """Return dated prices, the newest first; of one date, those of certain hours or days come first."""
    prices = [_price(item) for item in (node.items() if node.is_list else (node,))]
    if not prices:
        raise node.refused("there is no price here", "write at least one, or remove the key")
    seen: set[tuple[object, ...]] = set()
    for price in prices:
        when = (price.since, price.hours, price.days)
        if when in seen:
            raise node.refused("two prices begin on the same date", "give each its own `since`")
        seen.add(when)
    return tuple(
        sorted(prices, key=lambda price: (price.since is not None, price.since, price.timed), reverse=True)
    )


def _price(node: Node, also: frozenset[str] = frozenset()) -> Price:
    fields = node.only(_PRICE_KEYS | also)
    free = "free" in fields and fields["free"].boolean()
    rates = _rates(fields)
    if not rates and not free:
        raise node.refused(
            "this price has no rate", "add per_million_tokens, per_audio_minute ... or `free: true`"
        )
    if free and rates:
        raise node.refused("this price is free and has rates", "keep one of the two")
    return Price(
        rates=rates,
        since=None if free and node.get("since") is None else node.required("since").instant(),
        above=_above(fields["above_input_tokens"], rates) if "above_input_tokens" in fields else (),
        context=fields["context_tokens"].integer(1, _MAX_COUNT) if "context_tokens" in fields else 0,
        hours=_hours(fields["hours_utc"]) if "hours_utc" in fields else None,
        included=_parts(fields.get("included")),
        free=free,
        unverified="unverified" in fields and fields["unverified"].boolean(),
        steps=_steps(fields, rates),
        per_channel="per_channel" in fields and fields["per_channel"].boolean(),
        days=_days(fields["days"]) if "days" in fields else frozenset(),
        holidays=frozenset(day.day().isoformat() for day in fields["except_days"].items())
        if "except_days" in fields
        else frozenset(),
        source=node.required("source").text(),
        note=_note(fields),
    )


def _note(fields: Mapping[str, Node]) -> str:
    """Return the note of a price, with the remark that its ``since`` is an estimate where it is one."""
    note = fields["note"].text() if "note" in fields else ""
    estimated = "since_estimated" in fields and fields["since_estimated"].boolean()
    return f"{note} {SINCE_ESTIMATED}".lstrip() if estimated else note


_WEEK: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _days(node: Node) -> frozenset[int]:
    return frozenset(_WEEK.index(day.choice(_WEEK)) for day in node.items())


def _steps(fields: Mapping[str, Node], rates: Rates) -> dict[str, Step]:
    """Return the minimums and increments of billing, in the unit of each part."""
    minimums = _quantities(fields.get("minimums"))
    if "minimum_audio_seconds" in fields:
        minimums["audio_seconds"] = _microseconds(fields["minimum_audio_seconds"])
    sizes = _quantities(fields.get("steps"))
    for key, parts in (("minimums", minimums), ("steps", sizes)):
        for part in sorted(parts.keys() - rates.keys()):
            node = fields.get(key, fields.get("minimum_audio_seconds"))
            if node is not None:
                raise node.refused(f"{part} has no rate here", "add its rate, or leave it out")
    return {part: Step(minimums.get(part, 0), sizes.get(part, 0)) for part in sorted({*minimums, *sizes})}


def _quantities(node: Node | None) -> dict[str, int]:
    parts = node.only(_PER_UNIT.values()).items() if node else ()
    return {
        part: _microseconds(value) if part in FRACTIONAL_FIELDS else value.integer(0, _MAX_COUNT)
        for part, value in parts
    }


def _parts(node: Node | None) -> frozenset[str]:
    return frozenset(item.choice(UNITS) for item in node.items()) if node else frozenset()


def _rates(fields: Mapping[str, Node]) -> Rates:
    rates: dict[str, Rate] = {}
    if "per_million_tokens" in fields:
        for part, node in fields["per_million_tokens"].only(_PER_TOKENS).items():
            rates[part] = Rate.of(_usd(node), UNITS[part].per)
    for key, part in _PER_UNIT.items():
        if key in fields:
            rates[part] = Rate.of(_usd(fields[key]), UNITS[part].per)
    for key, (part, per) in _PER_OTHER.items():
        if key in fields:
            if part in rates:
                raise fields[key].refused(f"the rate of {part} is given twice", "keep one of the two")
            rates[part] = Rate.of(_usd(fields[key]), per)
    return rates


def _above(node: Node, base: Rates) -> tuple[tuple[int, Rates], ...]:
    """Return the rates of larger requests; a part without a rate there keeps its ordinary one."""
    sizes = []
    for key, rates in node.map().items():
        if not key.isascii() or not key.isdigit() or not int(key):
            raise rates.refused(f"{key!r} is not a number of tokens", "write it as in 128000")
        parts = rates.only(_PER_TOKENS)
        if unknown := sorted(parts.keys() - base.keys()):
            raise rates.refused(
                f"{unknown[0]} has no rate below {key} tokens", "add it to per_million_tokens"
            )
        larger = {part: Rate.of(_usd(value), UNITS[part].per) for part, value in parts.items()}
        sizes.append((int(key), {**base, **larger}))
    return tuple(sorted(sizes, key=lambda item: item[0]))


def _hours(node: Node) -> tuple[int, int]:
    text = node.text()
    start, dash, end = text.partition("-")
    try:
        hours = (_minute(start), _minute(end)) if dash else None
    except ValueError:
        hours = None
    if hours and hours[0] != hours[1]:
        return hours
    raise node.wrong("a part of the day in UTC", 'write it in quotes, as "00:30-16:30"')


def _minute(text: str) -> int:
    hour, minute = datetime.strptime(text.strip(), "%H:%M").timetuple()[3:5]  # noqa: DTZ007 - a time of day alone
    return hour * 60 + minute


def _usd(node: Node) -> Decimal:
    return node.number(0, _MAX_USD)


def _microseconds(node: Node) -> int:
    return int(node.number(0, 86_400) * 1_000_000)


def _read_aliases(node: Node, plain: dict[str, Any]) -> None:
    for key, target in node.map().items():
        plain["aliases"][key.strip().lower()] = target.text().strip().lower()


def _read_avoided(node: Node, plain: dict[str, Any]) -> None:
    for key, cloud in node.map().items():
        plain["avoided"][_model_name(key, cloud)] = _model_name(cloud.text(), cloud)


def _read_classes(node: Node, plain: dict[str, Any]) -> None:
    """Read which models can take each other's work, why, and by what usage they are compared."""
    for name, family in node.map().items():
        fields = family.only({"reason", "reference", "models", "former"})
        family.required("reason").text()
        reference = family.required("reference").only(USAGE_FIELDS)
        plain["references"][name] = {count: float(value.number(0)) for count, value in reference.items()}
        for key in ("models", "former"):
            for model in fields[key].items() if key in fields else ():
                member = _model_name(model.text(), model)
                if plain["classes"].setdefault(member, name) != name:
                    raise model.refused(f"{member} is in the class {plain['classes'][member]!r}", "keep one")
                plain["retired"] += [member] if key == "former" else []


def _read_services(node: Node, plain: dict[str, Any]) -> None:
    for key, service in node.map().items():
        fields = service.only({"discount", "tiers", "same_as"})
        rules: dict[str, Any] = {"tiers": {}}
        if "discount" in fields:
            # What a negotiated discount does not name keeps its list price.
            rules["discount"] = _read_rule(fields["discount"], _RULE_KEYS)
            rules["discount"]["unchanged"] = sorted(UNITS.keys() - set(rules["discount"]["parts"]))
        if "tiers" in fields:
            for tier, rule in fields["tiers"].only(TIERS).items():
                rules["tiers"][tier] = _read_rule(rule, _TIER_KEYS)
        if "same_as" in fields:
            plain["same_as"][normalize_service(key)] = _same_as(fields["same_as"])
        plain["services"][normalize_service(key)] = rules


def _same_as(node: Node) -> list[dict[str, Any]]:
    """Read at whose prices a service sells models that it has no prices for: all of them, or some."""
    rules: list[dict[str, Any]] = []
    for item in node.items() if node.is_list else (node,):
        if item.is_map:
            item.only({"service", "only", "except"})
        service = item.required("service") if item.is_map else item
        only, excluded = (item.get("only"), item.get("except")) if item.is_map else (None, None)
        rules.append(
            {"service": normalize_service(service.text()), "only": _texts(only), "except": _texts(excluded)}
        )
    return rules


def _texts(node: Node | None) -> list[str]:
    """Return the texts of a list, or a single text as a list, in lower case."""
    if node is None:
        return []
    return [item.text().strip().lower() for item in (node.items() if node.is_list else (node,))]


def _read_surcharges(node: Node, plain: dict[str, Any]) -> None:
    """Read the uplifts: for which models and under what conditions which rates are multiplied by how much."""
    for rule in node.items():
        rule.only({"models", "except", "multiply", "of", "when", "since", "until", "source", "note"})
        when, parts, until = rule.get("when"), rule.get("of"), rule.get("until")
        plain["surcharges"].append(
            {
                "factor": list(rule.required("multiply").number(0, 100).as_integer_ratio()),
                "parts": sorted(_parts(parts) if parts else _PER_TOKENS),
                "models": [_pattern(text, rule) for text in _texts(rule.required("models"))],
                "except": [_pattern(text, rule) for text in _texts(rule.get("except"))],
                "since": rule.required("since").instant().isoformat(),
                "until": until.instant().isoformat() if until else None,
                **_conditions(when),
                "source": rule.required("source").text(),
            }
        )


def _read_fees(node: Node, plain: dict[str, Any]) -> None:
    """Read the rates of units that many models share, such as those of a provider's hosted tools."""
    for rule in node.items():
        fields = rule.only({"models", "except", "since", "until", "source", "note"} | _RATE_KEYS)
        rates, until = _rates(fields), rule.get("until")
        if not rates:
            raise rule.refused("this fee has no rate", "add per_thousand_web_searches, per_container ...")
        plain["fees"].append(
            {
                "rates": rates_to_plain(rates),
                "models": [_pattern(text, rule) for text in _texts(rule.required("models"))],
                "except": [_pattern(text, rule) for text in _texts(rule.get("except"))],
                "since": rule.required("since").instant().isoformat(),
                "until": until.instant().isoformat() if until else None,
                "source": rule.required("source").text(),
            }
        )


def _read_addons(node: Node, plain: dict[str, Any]) -> None:
    """Read what is billed on top for a requested feature: MODEL+FEATURE costs both."""
    for rule in node.items():
        fields = rule.only({"models", "feature", "tiers", "since", "until", "source", "note"} | _RATE_KEYS)
        rates, since, until = _rates(fields), rule.get("since"), rule.get("until")
        if not rates:
            raise rule.refused("this feature has no rate", "add per_audio_hour, per_thousand_pages ...")
        tiers = fields["tiers"].only(TIERS) if "tiers" in fields else {}
        rule.required("source").text()
        plain["addons"].append(
            {
                "models": [_pattern(text, rule) for text in _texts(rule.required("models"))],
                "feature": rule.required("feature").text().strip().lower(),
                "rates": rates_to_plain(rates),
                "tiers": {tier: rates_to_plain(_tier_of_addon(node)) for tier, node in tiers.items()},
                "since": since.instant().isoformat() if since else None,
                "until": until.instant().isoformat() if until else None,
            }
        )


def _tier_of_addon(node: Node) -> Rates:
    """Return what a feature costs under a service tier: no rates where it is free."""
    if node.is_map:
        return _rates(node.only(_RATE_KEYS))
    node.choice(("free",))
    return {}


def _pattern(text: str, node: Node) -> str:
    service, slash, name = text.partition("/")
    if not slash or not name:
        raise node.refused(f"{text!r} names no service", "write it as service/model or service/*")
    return f"{normalize_service(service)}/{name}"


_REGION_UNKNOWN: Final = ("surcharged", "ordinary")


def _conditions(node: Node | None) -> dict[str, Any]:
    """Read when a surcharge holds: where the call ran, and under which service tier."""
    fields = node.only({"region", "region_except", "tier", "region_unknown"}) if node else {}
    tiers = _texts(fields.get("tier"))
    for tier in tiers:
        if tier not in {"standard", *TIERS}:
            raise fields["tier"].refused(
                f"{tier!r} is not a service tier", f"use one of {', '.join(sorted(TIERS))}"
            )
    return {
        "regions": _texts(fields.get("region")),
        "regions_except": _texts(fields.get("region_except")),
        "tiers": tiers,
        "undecided": "region_unknown" in fields
        and fields["region_unknown"].choice(_REGION_UNKNOWN) == _REGION_UNKNOWN[0],
    }


_RULE_KEYS: Final = frozenset({"percent", "since", "until", "of", "models_beginning", "except", "source"})
_TIER_KEYS: Final = _RULE_KEYS | {"multiply", "unchanged", "unverified"}


def _read_rule(node: Node, known: frozenset[str]) -> dict[str, Any]:
    fields = node.only(known)
    if "multiply" in fields:
        if "percent" in fields:
            raise fields["percent"].refused("this rule has percent and multiply", "keep one of the two")
        factor = fields["multiply"].number(0, 100)
    else:
        factor = (100 - node.required("percent").number(0, 100)) / 100
    until = node.get("until")
    return {
        "factor": list(factor.as_integer_ratio()),
        "parts": sorted(_parts(fields["of"]) if "of" in fields else UNITS),
        "unchanged": sorted(_parts(fields.get("unchanged"))),
        "since": node.required("since").instant().isoformat(),
        "until": until.instant().isoformat() if until else None,
        "except": [_model_name(model.text(), model) for model in fields["except"].items()]
        if "except" in fields
        else [],
        "beginnings": _texts(fields.get("models_beginning")) or [""],
        "unverified": "unverified" in fields and fields["unverified"].boolean(),
        "source": node.required("source").text(),
    }


def _read_notices(node: Node, plain: dict[str, Any]) -> None:
    """Read the notices to show once about a service's prices, such as on a name that means two things."""
    for service, text in node.map().items():
        plain["notices"][normalize_service(service)] = text.text()


def _read_local_services(node: Node, plain: dict[str, Any]) -> None:
    plain["local_services"] = sorted(normalize_service(item.text()) for item in node.items())
