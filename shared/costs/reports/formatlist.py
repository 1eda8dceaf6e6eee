"""Lists of file formats in a command's help, as the folders of formats have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Protocol


class Described(Protocol):
    """A format with a sentence of help."""

    @property
    def summary(self) -> str:
        """What it is."""
        ...


def with_formats(
    text: str | None, formats: Mapping[str, Described], more: Iterable[tuple[str, str]] = ()
) -> str:
    r"""Return a command's help with a list of formats after it; click does not rewrap what follows ``\b``.

    >>> from shared.costs.exchange.exports import exports
    >>> print(with_formats("Write it.", {"csv": exports()["csv"]}).replace("\b", "(as it stands)"))
    Write it.
    <BLANKLINE>
    (as it stands)
    Formats:
      csv  A table for spreadsheets and scripts; amounts in USD.
    """
    lines = [*((name, each.summary) for name, each in sorted(formats.items())), *more]
    width = max(len(name) for name, _ in lines)
    listed = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in lines)
    return f"{cleandoc(text or '')}\n\n\b\nFormats:\n{listed}"
