"""Questions of any report, from the values of an address, and the form that asks them."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from inspect import cleandoc
from typing import Any, Final, NamedTuple

from ... import reports
from ...errors import WrongUsage
from ...exchange import reports as exchange_reports
from ...reports.spec import FILTERS, Option, OptionGroup, Spec, spec_in


class Field(NamedTuple):
    """One field of a form. ``kind`` is ``text``, ``choice``, ``choices`` or ``flag``.

    ``known`` is the filter whose known values may be offered for it.
    """

    name: str
    label: str
    kind: str
    help: str
    values: tuple[str, ...]
    choices: tuple[str, ...]
    required: bool
    hint: str
    known: str = ""


class Incomplete(Exception):
    """A value that the report cannot do without is missing."""


@cache
def specs() -> Mapping[str, Spec[Any, Any]]:
    """Return all reports by name."""
    names = (
        f"{package.__name__}.{module.name}"
        for package in (reports, exchange_reports)
        for module in pkgutil.iter_modules(package.__path__)
    )
    return {spec.name: spec for spec in map(spec_in, names) if spec is not None}


def spec_named(name: str) -> Spec[Any, Any]:
    """Return a report by name.

    Raises:
        LookupError: there is none.
    """
    return specs()[name]


def options_of(spec: Spec[Any, Any]) -> Iterator[Option]:
    """Return the options of a report, those of groups one by one; none for the command line alone."""
    for each in spec.options:
        options = each.options if isinstance(each, OptionGroup) else (each,)
        yield from (option for option in options if option.is_for_pages)


def name_of(option: Option) -> str:
    """Return what an option is called in an address: as on the command line, without dashes."""
    return option.field if option.is_argument else option.names[0].lstrip("-")


def names_of(spec: Spec[Any, Any]) -> Mapping[str, Option]:
    """Return the options of a report by all the names that an address may have for them."""
    return {
        name: option
        for option in options_of(spec)
        for name in ([option.field] if option.is_argument else [each.lstrip("-") for each in option.names])
    }


def question_of(spec: Spec[Any, Any], pairs: Sequence[tuple[str, str]]) -> Any:
    """Return the question that the values of an address put.

    Raises:
        WrongUsage: one is unknown, comes twice or cannot be read.
        Incomplete: one that is required is missing.
    """
    known, given = names_of(spec), dict[str, list[str]]()
    for name, text in pairs:
        if name not in known:
            raise WrongUsage(
                f"{name!r} is not a value of {spec.name}; it takes {', '.join(sorted(known)) or 'none'}"
            )
        if text:
            given.setdefault(known[name].field, []).append(text)
    values = {option.field: _value(option, given.get(option.field, [])) for option in options_of(spec)}
    return spec.asked(values)


def _value(option: Option, texts: Sequence[str]) -> object:
    if option.flag:
        return bool(texts)
    if not texts and option.required:
        raise Incomplete(name_of(option))
    if option.many:
        return tuple(_parsed(option, text) for text in texts)
    if len(texts) > 1:
        raise WrongUsage(f"{name_of(option)!r} comes more than once")
    return _parsed(option, texts[0]) if texts else option.default


def _parsed(option: Option, text: str) -> object:
    name = name_of(option)
    if option.choices and text not in option.choices:
        raise WrongUsage(f"{name} is one of {', '.join(option.choices)}, not {text!r}")
    if option.least is not None or option.most is not None:
        return _number(option, text)
    try:
        return option.parse(text) if option.parse else text
    except ValueError as fault:
        raise WrongUsage(f"{name}: {fault}") from fault


def _number(option: Option, text: str) -> float:
    kind = float if isinstance(option.least, float) else int
    try:
        value = kind(text)
    except ValueError:
        raise WrongUsage(f"{name_of(option)} is a number, not {text!r}") from None
    least, most = option.least, option.most
    if value != value or (least is not None and value < least) or (most is not None and value > most):  # noqa: PLR0124  # NaN
        bounds = f"from {least:g}" if most is None else f"from {least or 0:g} to {most:g}"
        raise WrongUsage(f"{name_of(option)} is a number {bounds}, not {text}")
    return value


def form_of(spec: Spec[Any, Any], pairs: Sequence[tuple[str, str]]) -> tuple[Field, ...]:
    """Return the fields of a report's form, with the values that were given."""
    known = names_of(spec)
    given = [(known[name].field, text) for name, text in pairs if name in known]
    return tuple(
        Field(
            name=name_of(option),
            label=name_of(option).replace("-", " ").replace("_", " ").capitalize(),
            kind="flag" if option.flag else _kind(option),
            help=option.help,
            values=tuple(text for field, text in given if field == option.field),
            choices=option.choices,
            required=option.required,
            hint=_hint(option),
            known=_FILTERS.get(str(option.completes), ""),
        )
        for option in options_of(spec)
    )


_FILTERS: Final[Mapping[str, str]] = {
    str(option.completes): option.names[0].lstrip("-") for option in FILTERS.options
}
"""The filters by what completes them."""


def _kind(option: Option) -> str:
    if not option.choices:
        return "text"
    return "choices" if option.many else "choice"


def _hint(option: Option) -> str:
    default = "" if option.default is None else str(option.default)
    return default or (option.metavar or "")


def about(spec: Spec[Any, Any]) -> str:
    """Return the first sentence of a report's help."""
    return cleandoc(spec.help or "").splitlines()[0]
