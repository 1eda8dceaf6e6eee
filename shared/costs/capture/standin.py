"""A proxy that looks like the object behind it, except for the methods that a subclass replaces."""

from __future__ import annotations

from typing import Any


class StandIn:
    """A proxy of ``original``, with its attributes, its class for ``isinstance`` and its ``repr``.

    A subclass defines the few methods that differ, ``__iter__`` and the like, which Python looks up
    on the class.

    >>> class Loud(StandIn):
    ...     def __iter__(self):
    ...         return (word.upper() for word in self.original)
    >>> words = Loud(["a", "b"])
    >>> list(words), isinstance(words, list), words.index("b")
    (['A', 'B'], True, 1)
    """

    __slots__ = ("__weakref__", "_stand_in_original")

    def __init__(self, original: Any) -> None:
        object.__setattr__(self, "_stand_in_original", original)

    @property
    def original(self) -> Any:
        """The object behind the proxy."""
        return self._stand_in_original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stand_in_original, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._stand_in_original, name, value)

    def __dir__(self) -> list[str]:
        return dir(self._stand_in_original)

    def __repr__(self) -> str:
        return repr(self._stand_in_original)

    @property  # type: ignore[misc]  # isinstance() has to answer as for the original
    def __class__(self) -> Any:
        return self._stand_in_original.__class__
