"""The table providers x API forms: each cell reads an object of the real SDK and is one exact call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from capture_cells import APIS, CELLS, FORMS, NONE, PROVIDERS, WHOLE, Cell
from capture_cells.recorded import as_recorded, fields_of, made, played, recorded_ids, write
from capture_markdown import markdown

from shared.costs.capture.captured import Captured
from shared.costs.capture.fields import Fields
from shared.costs.capture.reading import all_adapters, read_response
from shared.costs.capture.streams import track_stream
from shared.costs.capture.watch import StreamNames
from shared.costs.model import Usage
from tests.support.golden import check


def read(cell: Cell, value: Any) -> Captured:
    """Capture the cell's one call as a caller would."""
    if not isinstance(value, list):
        [call] = read_response(value, **cell.said)
        return call
    calls: list[Captured] = []
    names = StreamNames(model=cell.said.get("model"))
    if cell.form == "async":
        asyncio.run(drain(track_stream(arriving(value), calls.append, names)))
    else:
        stream = track_stream(iter(value), calls.append, names)
        assert list(stream) == value, "the chunks pass unchanged"
    [call] = calls
    return call


async def arriving(chunks: list[Any]) -> AsyncIterator[Any]:
    """Yield chunks as an SDK's asynchronous stream does."""
    for chunk in chunks:
        yield chunk


async def drain(stream: AsyncIterator[Any]) -> None:
    """Read a stream to its end."""
    async for _ in stream:
        pass


def is_as_expected(call: Captured, cell: Cell) -> None:
    assert call.usage == Usage(**cell.counts)  # type: ignore[arg-type]  # the counts are whole numbers
    for name, value in cell.expected.items():
        assert getattr(call, name) == value, name
    cut = ("the stream ended before", "the conversation ended before")
    assert (call.incomplete or "").startswith(cut) == (cell.form == "cut")


@pytest.mark.no_cover
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_cell(cell: Cell) -> None:
    is_as_expected(read(cell, made(cell)), cell)


@pytest.mark.no_cover
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_cell_as_recorded(cell: Cell) -> None:
    is_as_expected(read(cell, played(cell)), cell)


@pytest.mark.no_cover
@pytest.mark.parametrize("cell", [c for c in CELLS if c.form != "cut"], ids=lambda cell: cell.id)
def test_input_and_output_add_up_to_the_total_that_the_provider_states(cell: Cell) -> None:
    """Input with the cache, output with the reasoning, nothing twice: the provider's own sum."""
    value = made(cell)
    usage = read(cell, value).usage
    assert usage.tokens_cached + usage.tokens_cache_write <= usage.tokens_input
    assert usage.tokens_cache_write_1h <= usage.tokens_cache_write
    assert usage.tokens_reasoning <= usage.tokens_output
    stated = list(totals(as_recorded(value)))
    if stated and cell.api.provider == "LangChain" and isinstance(value, list):
        assert usage.tokens_total == sum(stated), "chunks of LangChain are made to be added up"
    elif stated and not read(cell, value).unpriced_units:
        as_tokens = usage.pixels // PIXELS_A_TOKEN
        assert usage.tokens_total + as_tokens == max(stated), "of a stream, the last and largest"


PIXELS_A_TOKEN = 560
"""How many pixels Voyage counts as a token in its totals."""


def totals(value: Any) -> Iterator[int]:
    """Every total of tokens that stands somewhere in a response."""
    if isinstance(value, dict):
        names = {"total_tokens", "totalTokens", "total_token_count"}
        yield from (total for name, total in value.items() if name in names and total)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from totals(part)


@pytest.mark.no_cover
@pytest.mark.parametrize("cell", WHOLE, ids=lambda cell: cell.id)
def test_every_object_is_known_by_one_adapter_and_its_dict_reads_alike(cell: Cell) -> None:
    value = made(cell)
    call = read(cell, value)
    for plain in as_dicts(value):
        [again] = read_response(plain, service=call.service, **cell.said)
        assert (again.usage, again.model) == (call.usage, call.model)
        sure = [a.name for a in all_adapters() if not a.generic and a.recognises(Fields(plain))]
        assert len(sure) <= 1, sure


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """The dict forms that people have of an SDK's object: by Python's names and by the wire's."""
    if hasattr(value, "model_dump"):
        wire = value.model_dump(mode="json", by_alias=True, warnings=False, serialize_as_any=True)
        return [fields_of(value), wire]
    return [dict(fields_of(value))]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_cell_is_recorded_as_its_sdk_makes_it(provider: str) -> None:
    cells = [cell for cell in CELLS if cell.api.provider == provider]
    if cells[0].has_sdk():
        write(cells)
        kinds = {cell.id: classes(as_recorded(cell.make())) for cell in cells}
        assert kinds == {cell.id: classes(as_recorded(played(cell))) for cell in cells}
    assert recorded_ids(provider) == sorted(cell.id for cell in cells)


def classes(kept: Any) -> list[str]:
    return [each["class"] for each in kept] if isinstance(kept, list) else [kept["class"]]


def test_the_table_has_no_hole() -> None:
    tried = {(cell.api, cell.form) for cell in CELLS}
    absent = {(none.api, none.form) for none in NONE}
    assert tried | absent == {(api, form) for api in APIS for form in FORMS}
    assert not tried & absent, "a form is tried or is not there"
    assert all(none.why for none in NONE)


def test_every_cell_has_its_own_name() -> None:
    assert len({cell.id for cell in CELLS}) == len(CELLS)


def test_every_adapter_is_in_the_table() -> None:
    assert {adapter.name for adapter in all_adapters()} == set(PROVIDERS)


def test_the_table_as_people_read_it() -> None:
    check("capture/README.md", markdown({cell.id: read(cell, made(cell)) for cell in CELLS}))
