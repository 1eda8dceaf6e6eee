"""Puts how things stand into one line, in the words and colours of where it is shown.

>>> from shared.costs.money import from_usd
>>> today, month, limit = from_usd("3.75"), from_usd("35.69"), from_usd("36")
>>> stood = UserSpending("1", today, month, month_limit=limit, level="warning")
>>> line(stood, LineStyle())
'$3.75 today · $35.69/$36 99% ▲'
>>> line(stood, LineStyle(template="{percent} of {limit}, {nothing}"))
'99% of $36, {nothing}'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from ...budgets.limits import Level
from ...budgets.scopes import places_beside
from ...money import ZERO, Nanos, format_usd, percent
from .standing import AgentSession, UserSpending

Place = Literal["", "tmux", "zsh", "claude"]
PLACES: Final[dict[str, Place]] = {"": "", "tmux": "tmux", "zsh": "zsh", "claude": "claude"}

NOT_KNOWN: Final = "costs not known"

_FIELD: Final = re.compile(r"\{(\w+)\}", re.ASCII)
_DOLLAR: Final = 1_000_000_000

_ANSI: Final[dict[Level, str]] = {"ok": "32", "warning": "33", "critical": "31"}
_NAMED: Final[dict[Level, str]] = {"ok": "green", "warning": "yellow", "critical": "red"}
_ASCII: Final = str.maketrans({"·": "|", "▲": "!", "≥": "at least ", "…": "..."})

_LONGEST: Final = 40
"""A longer name is shown by its beginning and its end: a prompt has one line."""


class LineStyle(NamedTuple):
    """Where the line is shown, what it is made of, and whether colours and more than ASCII can be shown."""

    place: Place = ""
    template: str | None = None
    colour: bool = False
    unicode: bool = True


def line(stood: UserSpending, look: LineStyle, session: AgentSession | None = None) -> str:
    """Return the line; it is never empty."""
    fields = fields_of(stood, session or AgentSession())
    text = " · ".join(_parts(fields)) if look.template is None else _filled(look.template, fields)
    return dressed(text, look, stood.level)


def dressed(text: str, look: LineStyle, level: Level) -> str:
    """Return a text as its place takes it, coloured by a level."""
    text = "".join(c if c.isprintable() else " " for c in text).strip() or NOT_KNOWN
    if not look.unicode:
        text = text.translate(_ASCII).encode("ascii", "replace").decode()
    match look.place:
        case "tmux":  # where a # begins a format
            text, begin, end = text.replace("#", "##"), f"#[fg={_NAMED[level]}]", "#[default]"
        case "zsh":  # whose prompts take % for the begin of one
            text, begin, end = text.replace("%", "%%"), f"%F{{{_NAMED[level]}}}", "%f"
        case _:
            begin, end = f"\x1b[{_ANSI[level]}m", "\x1b[0m"
    return f"{begin}{text}{end}" if look.colour else text


def fields_of(stood: UserSpending, session: AgentSession) -> dict[str, str]:
    """Return what a template may name; what is not known is empty."""
    doubt = bool(stood.doubt)
    job, limit = stood.job, stood.month_limit
    shown = stood.conversion.amount if stood.conversion else format_usd

    def short(amount: Nanos | None) -> str:
        """Return a limit, without cents where it has none in dollars."""
        return "" if amount is None else shown(amount, places_beside(amount) if amount % _DOLLAR else 0)

    def sum_of(amount: Nanos, unpriced: int, beside: Nanos | None = None) -> str:
        """Return what was spent, ``beside`` a limit; at least that, where a part of it is not known."""
        return f"{'≥' if doubt or unpriced else ''}{shown(amount, places_beside(beside or ZERO))}"

    return {
        "user": stood.user,
        "day": sum_of(stood.day, stood.unpriced_today, stood.day_limit),
        "day_limit": short(stood.day_limit),
        "month": sum_of(stood.month, stood.unpriced, limit),
        "limit": short(limit),
        "percent": "" if limit is None else f"{_whole_percent(stood.month, limit)}%",
        "remaining": "" if limit is None else shown(Nanos(limit - stood.month), places_beside(limit)),
        "mark": "" if stood.level == "ok" else "▲",
        "job": _short_name(job.name) if job else "",
        "job_cost": sum_of(job.cost, job.unpriced) if job and job.cost is not None else "",
        "session": "" if session.cost is None else f"~{shown(session.cost, 2)}",
        "model": session.model,
        "doubt": stood.refused or stood.doubt,
        "limits": "limits not known" if stood.refused else "",
        "unpriced": f"{stood.unpriced} unpriced" if stood.unpriced else "",
    }


def _parts(fields: dict[str, str]) -> Iterator[str]:
    if fields["session"]:
        yield f"{fields['session']} session"
    day_limit = f"/{fields['day_limit']}" if fields["day_limit"] else ""
    yield f"{fields['day']}{day_limit} today"
    month = f"{fields['month']}/{fields['limit']} {fields['percent']}" if fields["limit"] else fields["month"]
    yield f"{month} {fields['mark'] or ('' if fields['limit'] else 'this month')}".rstrip()
    if fields["unpriced"]:
        yield fields["unpriced"]
    if fields["job"]:
        yield f"{fields['job']} {fields['job_cost']}".rstrip()
    if fields["limits"]:
        yield fields["limits"]


def _short_name(name: str) -> str:
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[1 - half :]}"


def _filled(template: str, fields: dict[str, str]) -> str:
    return _FIELD.sub(lambda field: fields.get(field[1], field[0]), template)


def _whole_percent(part: Nanos, whole: Nanos) -> int:
    """Return whole percent; 100 for nothing less than all of it."""
    return min(round(percent(part, whole)), 99) if part < whole else int(percent(part, whole))
