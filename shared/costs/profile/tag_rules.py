"""Tags by rules, after the fact: what calls belong to that nobody named when they were made.

Reports, filters, exports of filtered calls and limits on tags know of them; ledgers do not.

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
"""The keys of a rule's conditions, and the dimensions of calls that they are on."""

CUSTOMER: Final = "customer"
"""What stands before the colon in the tag that names a customer."""


class TagRule(NamedTuple):
    """Gives ``tag`` to calls whose dimensions match all patterns, as pairs of the two.

    ``*`` stands for any text and ``?`` for one character, all else for itself.
    """

    tag: str
    conditions: tuple[tuple[str, str], ...]

    def matches(self, values: Mapping[str, str | None]) -> bool | None:
        """Return whether calls with these values by dimension are meant; a value that is missing is empty.

        ``None`` where it hangs on one that is ``None``: not known yet.
        """
        told = [(values.get(name, ""), pattern) for name, pattern in self.conditions]
        if any(value is not None and not _matcher(pattern)(value) for value, pattern in told):
            return False
        return None if any(value is None for value, _ in told) else True


@lru_cache
def _matcher(pattern: str) -> Callable[[str], object]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL).fullmatch


def dimensions_of(rules: Iterable[TagRule]) -> tuple[Dimension, ...]:
    """Return the dimensions by which sums must be split for rules to tell their calls."""
    used = {name for rule in rules for name, _ in rule.conditions}
    return tuple(dimension for dimension in CONDITIONS.values() if dimension in used)


def rules_for(tag: str, rules: Iterable[TagRule]) -> tuple[TagRule, ...]:
    """Return the rules that decide which calls have a tag besides those made with it; none gives it: none."""
    same = tuple(rule for rule in rules if key_of(rule.tag) == key_of(tag))
    return same if any(rule.tag == tag for rule in same) else ()


def tagged(
    rules: Iterable[TagRule], tags: Sequence[str], values: Mapping[str, str | None]
) -> tuple[str, ...]:
    """Return the tags of calls with those that rules give them.

    A call that has a tag with the same word before the colon keeps it, and the first rule of each word
    decides: a call has one customer. Of values that are not known yet (``None``) it may have several.

    >>> rules = [TagRule("customer:acme", (("model", "gpt-*"),)), TagRule("customer:rest", (("model", "*"),))]
    >>> tagged(rules, (), {"model": "gpt-4o"}), tagged(rules, (), {"model": None})
    (('customer:acme',), ('customer:acme', 'customer:rest'))
    """
    found, decided = list(tags), set(map(key_of, tags))
    for rule in rules:
        if key_of(rule.tag) in decided or (matches := rule.matches(values)) is False:
            continue
        found.append(rule.tag)
        if matches:
            decided.add(key_of(rule.tag))
    return tuple(found)


def key_of(tag: str) -> str:
    """Return what stands before the colon of a tag; the whole of one without.

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
    from ..yaml_strict import read_name  # only a profile that is read anew needs it

    node.only(("tag", *CONDITIONS))
    tag = node.required("tag")
    if "," in read_name(tag):
        raise tag.refused(f"{tag.shown} has a comma", "write one tag, such as customer:acme")
    given = {CONDITIONS[key]: read_name(each) for key, each in node.map().items() if key != "tag"}
    if not given:
        raise node.refused("a rule without a condition", f"add one of {', '.join(CONDITIONS)}")
    return TagRule(tag.text(), tuple(given.items()))
