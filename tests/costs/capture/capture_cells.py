"""What one cell of the table providers x API forms is, and the parts that all providers' files share.

A cell says: this object of the real SDK (or these chunks of its stream), read by our adapter, is
this call. The expected counts are written by hand from the provider's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pytest

Form = Literal["normal", "streamed", "cut", "async", "cached", "reasoning", "batch"]
FORMS: Final[tuple[Form, ...]] = ("normal", "streamed", "cut", "async", "cached", "reasoning", "batch")
STREAMED: Final = frozenset({"streamed", "cut", "async"})


@dataclass(frozen=True)
class Cell:
    """``make`` gives the response, or for a streamed form the list of chunks that arrive.

    ``counts`` are the counts expected; ``expected`` are other fields of the captured call.
    ``said`` is what the caller has to say because the response does not (the model, as a rule).
    """

    provider: str
    form: Form
    needs: str
    make: Callable[[], Any]
    counts: Mapping[str, float]
    expected: dict[str, Any] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    variant: str = ""

    def skip_without_its_sdk(self) -> None:
        """Skip the test where the package in ``needs`` is not installed; without one, it always runs."""
        if self.needs:
            pytest.importorskip(self.needs)

    @property
    def id(self) -> str:
        """How the cell is called in test reports."""
        return "-".join(part for part in (self.provider, self.form, self.variant) if part)
