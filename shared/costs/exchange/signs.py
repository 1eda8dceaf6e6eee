"""Numbers below zero as other programs write them: with a minus before or behind, or in brackets."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_MINUS: Final = "-\N{MINUS SIGN}"
_CURRENCY: Final = r"(?:US\$|\$|USD)?"
_SIGNED: Final = re.compile(
    rf"\s*{_CURRENCY}\s*[{_MINUS}]\s*({_CURRENCY}\s*[\d.].*)", re.IGNORECASE | re.DOTALL
)
_BEHIND: Final = re.compile(rf"\s*({_CURRENCY}\s*[\d.][\d.,' ]*)[{_MINUS}]\s*", re.IGNORECASE)
_IN_BRACKETS: Final = re.compile(
    rf"\s*{_CURRENCY}\s*\(\s*({_CURRENCY}\s*[\d.].*)\)\s*(?:USD)?\s*", re.IGNORECASE
)


def above_zero(value: object) -> object | None:
    """Return a number below zero without its sign, and as text of its own kind; ``None`` for anything else.

    >>> [above_zero(each) for each in ("-0.05", "$-1,234.50", "-$5", "(5.00)", "5.00-", -3, Decimal("-1.5"))]
    ['0.05', '1,234.50', '$5', '5.00', '5.00', 3, Decimal('1.5')]
    >>> [above_zero(each) for each in ("0.05", "2026-11-03", "-0", "gpt-4o", 3, None, True, "(none)")]
    [None, None, None, None, None, None, None, None]
    """
    if isinstance(value, (int, float, Decimal)):
        return -value if value < 0 else None
    if not isinstance(value, str):
        return None
    found = next(
        (match for form in (_SIGNED, _BEHIND, _IN_BRACKETS) if (match := form.fullmatch(value))), None
    )
    if found is None or not re.search(r"[1-9]", found[1]):
        return None
    return type(value)(found[1].strip())
