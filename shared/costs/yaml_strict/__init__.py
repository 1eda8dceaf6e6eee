"""YAML without surprises: a tree that knows file and line, and gives values only by the type asked for.

PyYAML's own types are not used. It reads ``1e3`` as text, ``010`` as 8, ``12:30`` as 750 and
``.nan`` as a number that no limit ever stops, and text such as ``'false'`` counts as true. Here a
scalar stays as it was written until :meth:`Node.amount`, :meth:`Node.boolean` and so on read it,
and whatever could be meant in two ways is refused with file, line, key, value and what to write.

Also refused: files above 64 KiB, aliases and anchors (a few hundred bytes of them expand to
millions of values), tags, duplicate keys, several documents, and nesting deeper than 20.

>>> from pathlib import Path
>>> tree = parse(b"budget: {monthly_limit_usd: 50.00}", Path("profile.yaml"))
>>> tree["budget"]["monthly_limit_usd"].amount()
50000000000
"""

from __future__ import annotations

from .reading import MAX_DEPTH, Node, Scalar, load, parse

__all__ = ["MAX_DEPTH", "Node", "Scalar", "load", "parse"]
