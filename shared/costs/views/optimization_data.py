"""The JSON of ``show-optimization``: all that was found, also what the text leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..analysis.caching import Cacheable
from ..analysis.optimise import Option
from ..analysis.outcomes import Worth
from ..analysis.waste import Waste
from ..money import Nanos, percent, to_usd
from . import advice

if TYPE_CHECKING:
    from .optimization import OptimizationFacts


def optimization_data(facts: OptimizationFacts) -> dict[str, object]:
    """Return the savings, what could be cached, what was paid in vain, and what results cost."""
    savings = facts.savings
    return {
        "user_id": facts.user_id,
        "start": facts.period.start.isoformat(),
        "end": facts.period.end.isoformat(),
        "calls": savings.calls,
        "unpriced_calls": savings.unpriced_calls,
        "spent_usd": to_usd(savings.spent),
        "saving_usd": to_usd(savings.saving),
        "saving_hosted_usd": to_usd(savings.saving_hosted),
        "saving_percent": round(percent(savings.saving, savings.spent), 4) if savings.spent else 0.0,
        "retried_usd": to_usd(savings.retried),
        "retried_after_usd": to_usd(savings.retried_after),
        "caching": [_cacheable(each) for each in facts.cacheable],
        "waste": [_wasted(each, savings.spent) for each in facts.waste],
        "results": [_worth(each) for each in facts.worths],
        "best": [_option(option, facts) for option in savings.best],
        "best_hosted": [_option(option, facts) for option in savings.best_hosted],
        "options": [_option(option, facts) for option in savings.options],
    }


def _cacheable(cacheable: Cacheable) -> dict[str, object]:
    return {
        "stage": cacheable.slot.stage,
        "model": advice.model_of(cacheable.slot),
        "calls": cacheable.calls,
        "cost_usd": to_usd(cacheable.before),
        "saving_at_most_usd": to_usd(cacheable.saving),
        "saving_percent": round(cacheable.percent, 4),
        "change": advice.caching_step(cacheable),
        "not_known": "whether the inputs begin alike",
    }


def _wasted(waste: Waste, spent: Nanos) -> dict[str, object]:
    return {
        "stage": waste.slot.stage,
        "model": advice.model_of(waste.slot),
        "reason": waste.reason,
        "calls": waste.calls,
        "cost_usd": to_usd(waste.cost),
        "percent_of_all": round(percent(waste.cost, spent), 4) if spent else 0.0,
        "change": advice.cause(waste),
        "not_known": "how much of it can be avoided",
    }


def _worth(worth: Worth) -> dict[str, object]:
    per_point = worth.cost_per_point
    return {
        "stage": worth.slot.stage,
        "model": advice.model_of(worth.slot),
        "outcomes": {
            outcome: {"calls": calls, "cost_of_one_usd": to_usd(worth.cost_of(outcome))}
            for outcome, calls in worth.outcomes.most_common()
        },
        "rated_calls": worth.rated,
        "quality": None if worth.quality is None else round(worth.quality, 6),
        "cost_per_point_usd": None if per_point is None else to_usd(per_point),
    }


def _option(option: Option, facts: OptimizationFacts) -> dict[str, object]:
    return {
        "kind": option.change.kind,
        "stage": option.slot.stage,
        "from": advice.model_of(option.slot),
        "to": option.change.name,
        "calls": option.calls,
        "cost_usd": to_usd(option.before),
        "cost_after_usd": to_usd(option.after),
        "saving_usd": to_usd(option.saving),
        "saving_percent": round(option.percent, 4),
        "break_even_minutes_per_usd": option.audio_minutes_per_dollar,
        "break_even_tokens_per_usd": option.tokens_per_dollar if option.change.kind == "local" else None,
        "change": advice.change(option),
        "check": advice.command(option, facts.period, facts.user_id),
        "not_known": advice.DOUBTS[option.change.kind],
    }
