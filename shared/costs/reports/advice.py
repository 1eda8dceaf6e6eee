"""What to change, in words: the exact change, the command that checks it, and what is not known."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final

from ..analysis.caching import Cacheable
from ..analysis.optimise import Proposal
from ..analysis.options import OptionKind
from ..analysis.outcomes import Reason, Waste
from ..analysis.sums import UNNAMED
from ..money import Nanos
from ..periods import Period
from .common import plural, usd

_CHANGES: Final[Mapping[OptionKind, str]] = {
    "model": "set the model to {to}, instead of {old}",
    "batch": "send the calls to {old} through the provider's batch service, and log them with batch=True",
    "model and batch": (
        "set the model to {to}, instead of {old}; send the calls through its batch service, and log them "
        "with batch=True"
    ),
    "standard": "send the calls to {old} without their priority tier",
    "split": "send long inputs to {old} in pieces: a longer context costs more by the token",
    "local": "run {to} on a machine of your own, instead of {old}",
}
DOUBTS: Final[Mapping[OptionKind, str]] = {
    "model": "whether its answers are good enough: compare a few jobs",
    "batch": "whether the stage can wait: batches are answered within 24 hours",
    "model and batch": "whether its answers are good enough, and whether the stage can wait",
    "standard": "whether the stage can take slower answers",
    "split": "whether the work can be divided",
    "local": "its quality, its speed on your machine, and the power it draws",
}
CAUTIONS: Final[Mapping[OptionKind, str]] = {
    "model": "Other models: whether their answers are as good is not known. Compare a few jobs first.",
    "batch": (
        "Batches are answered within 24 hours: only for stages that can wait. Calls with the tag "
        "interactive are left out."
    ),
    "standard": "Without priority, answers may come later.",
    "split": "Shorter calls: only for work that can be divided, such as summaries of parts.",
    "local": "Local engines cost $0 here; their quality, their speed and their power are not counted.",
}
IN_BRIEF: Final[Mapping[OptionKind, tuple[str, ...]]] = {
    "model": ("other models answer as well",),
    "model and batch": ("other models answer as well", "stages can wait a day"),
    "batch": ("stages can wait a day",),
    "standard": ("stages can take slower answers",),
    "split": ("the work can be divided",),
}
"""What is not known of each kind of change, in a few words."""

BREAK_EVEN: Final = (
    "Break-even: what a machine of your own must get done for each dollar it costs to run, to cost no more "
    "than what was charged."
)
CACHING: Final = (
    "Caching saves where calls of a job begin with the same text: put what is alike first, and turn "
    "the provider's prompt cache on. It is an upper bound and not in the totals."
)
_CAUSES: Final[Mapping[Reason, str]] = {
    "done again": "find why the first attempt failed; go on from what is done, instead of from the start",
    "not used": "find why results are thrown away; check the input before the call, or ask for less",
}
WASTE: Final = (
    "Failed or repeated work is saved by fixing its cause, not by a setting; it is not in the totals."
)


def target(option: Proposal) -> str:
    """Return the model that is used instead, without its tier."""
    return f"{option.change.service}/{option.change.model}"


def change(option: Proposal) -> str:
    """Return the exact change to make, as a phrase."""
    return _CHANGES[option.change.kind].format(to=target(option), old=option.slot.name)


def step(number: int, option: Proposal) -> str:
    """Return a numbered sentence: where, what to change, what it saves and over how many calls."""
    calls = plural(option.calls, "call", "calls")
    of_retries = Nanos(option.saving - option.lasting)
    more = f"; {usd(of_retries)} more if retries recur" if of_retries > 0 else ""
    saved = f"{usd(option.lasting)} of {usd(option.before)}, by {calls}{more}"
    return f"{number}. {option.slot.stage or UNNAMED}: {change(option)}. Saves {saved}."


def command(option: Proposal, period: Period, user_id: str | None) -> str | None:
    """Return the command that reprices these calls again, or ``None`` where ``whatif`` cannot.

    ``user_id`` is whose calls they are, ``None`` for everyone's.
    """
    kind, slot = option.change.kind, option.slot
    if kind == "split":
        return None
    words = ["cost-dashboard", "whatif", "--swap", f"{slot.name}={target(option)}"]
    words += ["--tier", option.change.tier] if option.change.tier else []
    words += ["--stage", slot.stage] if slot.stage else []
    words += ["--user", user_id] if user_id else []
    days = period.dates()
    whole_month = ["--month", period.name]
    words += whole_month if period.kind == "month" else ["--since", f"{days[0]}", "--until", f"{days[-1]}"]
    return shlex.join(words)


def break_even(option: Proposal) -> str:
    """Return what a dollar of running a machine of one's own must get done to be cheaper; may be empty."""
    if option.change.kind != "local":
        return ""
    return pace(option.audio_minutes_per_dollar, option.tokens_per_dollar)


def pace(audio_minutes: float | None, tokens: int | None) -> str:
    """Return what was done for a dollar; empty where that is not known.

    >>> pace(933.3, None), pace(None, 4_100_000)
    ('933 min/$', '4.10M tokens/$')
    """
    if audio_minutes is not None:
        return f"{audio_minutes:,.0f} min/$"
    return "" if tokens is None else f"{tokens / 1_000_000:,.2f}M tokens/$"


def caching_step(cacheable: Cacheable) -> str:
    """Return what to do about inputs that may begin alike, as a phrase."""
    saved = f"at most {usd(cacheable.saving)} of {usd(cacheable.before)}"
    return (
        f"put what the calls share first, and turn the prompt cache of {cacheable.slot.service} on: {saved}"
    )


def cause(waste: Waste) -> str:
    """Return what to do about failed or repeated work, as a phrase."""
    return _CAUSES[waste.reason]


def amount_of(options: tuple[Proposal, ...]) -> Nanos:
    """Return what options of different slots save together."""
    return Nanos(sum(option.saving for option in options))
