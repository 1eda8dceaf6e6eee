"""What the JSON of every report has in common, seen in the reports that were looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
