"""What the JSON of every report has in common, seen in the reports that were looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.costs.money import Nanos
from shared.costs.reports.document import derive
from tests.support.golden import FOLDER


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from objects(each)
    elif isinstance(value, list):
        for each in value:
            yield from objects(each)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_calls_priced_in_part_stand_beside_those_without_a_price(path: Path) -> None:
    found = list(objects(json.loads(path.read_text(encoding="utf-8"))))
    assert [each for each in found if "unpriced_calls" in each and "partial_calls" not in each] == []


@dataclass
class Paid:
    """A record with an amount."""

    cost: Nanos


@dataclass
class PaidTwice(Paid):
    """A record that inherits one."""

    times: int = 2


class Undeclared:
    """An object that says of no field what it is."""

    def __init__(self) -> None:
        self.cost = Nanos(5_000_000_000)
        self.model = "gpt-4o"


def test_an_inherited_amount_is_money() -> None:
    paid = PaidTwice(Nanos(5_000_000_000))
    assert derive(paid) == {"cost_usd": 5.0, "times": 2}
    assert derive(paid, "cost") == {"cost_usd": 5.0}


def test_what_nobody_declared_is_refused_rather_than_shown_in_nano_dollars() -> None:
    assert derive(Undeclared(), "model") == {"model": "gpt-4o"}
    with pytest.raises(TypeError, match=r"Undeclared\.cost has no declared type"):
        derive(Undeclared(), "cost")
