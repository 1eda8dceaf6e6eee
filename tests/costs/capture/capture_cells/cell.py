"""What one cell of the table providers x API forms is.

A cell says: this object of the real SDK (or these chunks of its stream), read by our adapter, is
this call. The expected counts are written by hand from the provider's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final, Literal, get_args

Form = Literal["normal", "streamed", "cut", "async", "cached", "reasoning", "batch"]
"""``cut`` is a stream that ends before its usage came; ``async`` a stream read with ``async for``, or the
answer of an asynchronous client where the API does not stream."""

FORMS: Final[tuple[Form, ...]] = get_args(Form)


@dataclass(frozen=True)
class Api:
    """One API of one provider: a row of the table.

    ``package`` is the module of its SDK, ``distribution`` what pip calls it.
    """

    provider: str
    name: str
    package: str
    distribution: str

    @property
    def title(self) -> str:
        """How the row is called."""
        return f"{self.provider} {self.name}"

    def cell(
        self,
        form: Form,
        make: Callable[[], Any],
        counts: Mapping[str, float],
        expected: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Cell:
        """One cell of this row; ``more`` are further fields of :class:`Cell`."""
        return Cell(self, form, make, counts, expected or {}, **more)

    def none(self, why: str, *forms: Form) -> list[NoSuchForm]:
        """The forms that this API does not have."""
        return [NoSuchForm(self, form, why) for form in forms]


@dataclass(frozen=True)
class NoSuchForm:
    """A form that an API does not have, and why."""

    api: Api
    form: Form
    why: str


@dataclass(frozen=True)
class Cell:
    """``make`` gives the response, or for a stream the list of chunks that arrive.

    ``counts`` are the counts expected; ``expected`` are other fields of the captured call.
    ``said`` is what the caller has to say because the response does not (the model, as a rule).
    ``variant`` tells cells of one form apart.
    """

    api: Api
    form: Form
    make: Callable[[], Any]
    counts: Mapping[str, float]
    expected: Mapping[str, Any]
    said: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""

    @property
    def id(self) -> str:
        """How the cell is called in test reports."""
        words = (self.api.provider, self.api.name, self.form, self.variant)
        return "-".join(word.lower().replace(" ", "-") for word in words if word)

    def has_sdk(self) -> bool:
        """Tell whether the SDK is installed; without it, the recorded object is read."""
        try:
            return find_spec(self.api.package) is not None
        except ModuleNotFoundError:
            return False
