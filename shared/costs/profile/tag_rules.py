"""Rules that give tags to recorded calls, for attributions that were not logged with them.

Reports, filters, exports of filtered calls and limits on tags use them; ledgers do not contain them.

>>> rule = TagRule("customer:acme", (("project", "acme-*"),))
>>> tagged([rule], ("night",), {"project": "acme-web"})
('night', 'customer:acme')
>>> tagged([rule], ("customer:beta",), {"project": "acme-web"})
('customer:beta',)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ..rollup import Dimension
    from ..yaml_strict import Node

CONDITIONS: Final[Mapping[str, Dimension]] = {
    "user": "user_id",
    "job": "job_id",
    "stage": "stage",
    "service": "service",
    "model": "model",
    "operation": "operation",
    "workflow": "workflow",
    "project": "project",
}
"""The keys of a rule's conditions, and the dimension of calls that each is about."""

CUSTOMER: Final = "customer"
"""The part before the colon in a tag that names a customer."""


class TagRule(NamedTuple):
    """Gives ``tag`` to calls that match all ``conditions``, as pairs of a dimension and a pattern.

    ``*`` stands for any text and ``?`` for one character, all else for itself.
    """

    tag: str
    conditions: tuple[tuple[str, str], ...]

    def matches(self, values: Mapping[str, str | None]) -> bool | None:
        """Return whether calls with these values by dimension match; a missing value counts as empty.

        ``None`` where it depends on a value that is ``None``: not known yet.
        """
        compared = [(values.get(name, ""), pattern) for name, pattern in self.conditions]
        if any(value is not None and not _matcher(pattern)(value) for value, pattern in compared):
            return False
        return None if any(value is None for value, _ in compared) else True


@lru_cache
def _matcher(pattern: str) -> Callable[[str], object]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL).fullmatch


def dimensions_of(rules: Iterable[TagRule]) -> tuple[Dimension, ...]:
    """Return the dimensions by which sums must be split to apply rules to them."""
    used = {name for rule in rules for name, _ in rule.conditions}
    return tuple(dimension for dimension in CONDITIONS.values() if dimension in used)


def rules_for(tag: str, rules: Iterable[TagRule]) -> tuple[TagRule, ...]:
    """Return the rules that decide which further calls get a tag; none if no rule gives it."""
    same = tuple(rule for rule in rules if key_of(rule.tag) == key_of(tag))
    return same if any(rule.tag == tag for rule in same) else ()


def tagged(
    rules: Iterable[TagRule], tags: Sequence[str], values: Mapping[str, str | None]
) -> tuple[str, ...]:
    """Return the tags of calls together with those that rules give them.

    A call that has a tag with the same part before the colon keeps it, and the first matching rule of each
    such part decides: a call has one customer. Where values are not known yet (``None``) it may have several.

    >>> rules = [TagRule("customer:acme", (("model", "gpt-*"),)), TagRule("customer:rest", (("model", "*"),))]
    >>> tagged(rules, (), {"model": "gpt-4o"}), tagged(rules, (), {"model": None})
    (('customer:acme',), ('customer:acme', 'customer:rest'))
    """
    all_tags, decided = list(tags), set(map(key_of, tags))
    for rule in rules:
        if key_of(rule.tag) in decided or (matches := rule.matches(values)) is False:
            continue
        all_tags.append(rule.tag)
        if matches:
            decided.add(key_of(rule.tag))
    return tuple(all_tags)


def key_of(tag: str) -> str:
    """Return the part of a tag before the colon, or the whole tag without a colon.

    >>> key_of("customer:acme"), key_of("night")
    ('customer', 'night')
    """
    return tag.partition(":")[0]


def read_tag_rules(top: Node) -> tuple[TagRule, ...]:
    """Return the rules under ``tag_rules:``, in their order.

    Raises:
        FileRefused: one has no condition, or an unknown one.
    """
    node = top.get("tag_rules")
    return tuple(map(_rule, node.items())) if node is not None else ()


def _rule(node: Node) -> TagRule:
    from ..yaml_strict import read_name  # only needed when the profile is parsed

    node.only(("tag", *CONDITIONS))
    tag = node.required("tag")
    if "," in read_name(tag):
        raise tag.refused(f"{tag.shown} has a comma", "write one tag, such as customer:acme")
    conditions = {CONDITIONS[key]: read_name(pattern) for key, pattern in node.map().items() if key != "tag"}
    if not conditions:
        raise node.refused("a rule without a condition", f"add one of {', '.join(CONDITIONS)}")
    return TagRule(tag.text(), tuple(conditions.items()))
