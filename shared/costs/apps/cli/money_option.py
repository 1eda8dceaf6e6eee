"""Options that are amounts in USD."""

from __future__ import annotations

from typing import Any, Final

import click

from ...money import Nanos, from_usd

NO_LIMIT: Final = "none"


class Usd(click.ParamType[Nanos]):
    """An amount in USD, such as ``0.50``; the command gets nano-dollars."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return nano-dollars; text that is no amount, or a negative one, is wrong usage."""
        if isinstance(value, int):
            return value
        try:
            amount = from_usd(str(value).removeprefix("$"))
        except (TypeError, ValueError):
            self.fail(f"{value!r} is no amount in USD; write 50 or 0.25{self.hint}", param, ctx)
        if amount < 0:
            self.fail(f"{value} is negative; write 50 or 0.25{self.hint}", param, ctx)
        return amount

    hint = ""


class Limit(Usd):
    """An amount in USD, or ``none`` for no limit, which stays as it is."""

    hint = f", or {NO_LIMIT}"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return nano-dollars or ``none``."""
        return value if value == NO_LIMIT else super().convert(value, param, ctx)


class NamedLimit(click.ParamType[tuple[str, Any]]):
    """``NAME=AMOUNT``; the command gets both."""

    name = "name=usd"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Return the name and its amount."""
        if isinstance(value, tuple):
            return value
        name, sign, amount = str(value).rpartition("=")
        if not sign or not name:
            self.fail(f"{value!r} is not NAME=USD; write it as openai/gpt-4=10", param, ctx)
        return name, Limit().convert(amount, param, ctx)
