"""The table providers x API forms: each cell reads an object of the real SDK and is one exact call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from capture_cells import FORMS, STREAMED, Cell
from capture_cells_anthropic import CELLS as ANTHROPIC
from capture_cells_gemini import CELLS as GEMINI
from capture_cells_openai import CELLS as OPENAI
from capture_cells_others import CELLS as OTHERS

from shared.costs.capture.captured import Captured
from shared.costs.capture.fields import Fields
from shared.costs.capture.reading import all_adapters, read_response
from shared.costs.capture.streams import track_stream
from shared.costs.capture.watch import StreamNames
from shared.costs.model import Usage

CELLS: list[Cell] = [*OPENAI, *ANTHROPIC, *GEMINI, *OTHERS]

NOT_OFFERED = {
    ("mistral", "reasoning"): "counted in the output, not stated apart",
    ("mistral", "batch"): "its output file holds ordinary responses; the caller says batch=True",
    ("cohere", "reasoning"): "not stated apart",
    ("cohere", "batch"): "there is none for chat",
    ("bedrock", "reasoning"): "counted in the output, not stated apart",
    ("bedrock", "batch"): "results are files of the models' own formats",
    ("ollama", "cached"): "local: nothing is billed",
    ("ollama", "reasoning"): "counted in the output, not stated apart",
    ("ollama", "batch"): "there is none",
    ("langchain", "batch"): "model.batch() makes ordinary calls",
    ("claude-agent", "reasoning"): "counted in the output, not stated apart",
    ("claude-agent", "batch"): "there is none",
}


def read(cell: Cell) -> list[Captured]:
    """Capture the cell's call as a caller would."""
    cell.skip_without_its_sdk()
    made = cell.make()
    if cell.form not in STREAMED:
        return list(read_response(made, **cell.said))
    calls: list[Captured] = []
    names = StreamNames(model=cell.said.get("model"))
    if cell.form == "async":
        asyncio.run(drain(track_stream(arriving(made), calls.append, names)))
        return calls
    stream = track_stream(iter(made), calls.append, names)
    assert list(stream) == made, "the chunks pass unchanged"
    return calls


async def arriving(chunks: list[Any]) -> AsyncIterator[Any]:
    """Yield chunks as an SDK's asynchronous stream does."""
    for chunk in chunks:
        yield chunk


async def drain(stream: AsyncIterator[Any]) -> None:
    """Read a stream to its end."""
    async for _ in stream:
        pass


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_cell(cell: Cell) -> None:
    [call] = read(cell)
    assert call.usage == Usage(**cell.counts)  # type: ignore[arg-type]  # the counts are whole numbers
    for name, value in cell.expected.items():
        assert getattr(call, name) == value, name
    if cell.form == "cut":
        assert call.incomplete is not None
        assert call.incomplete.startswith(("the stream ended before", "the conversation ended before"))


@pytest.mark.parametrize("cell", [c for c in CELLS if c.form not in STREAMED], ids=lambda cell: cell.id)
def test_every_object_is_known_by_one_adapter_and_its_dict_reads_alike(cell: Cell) -> None:
    [call] = read(cell)
    made = cell.make()
    for plain in as_dicts(made):
        [again] = read_response(plain, service=call.service, **cell.said)
        assert (again.usage, again.model) == (call.usage, call.model)
        sure = [a.name for a in all_adapters() if not a.generic and a.recognises(Fields(plain))]
        assert len(sure) <= 1, sure


def as_dicts(made: Any) -> list[dict[str, Any]]:
    """The dict forms that people have of an SDK's object: by Python's names and by the wire's."""
    if isinstance(made, dict):
        return [made]
    if type(made).__name__ == "LLMResult":
        return []  # LangChain's own dump of it loses the usage
    if hasattr(made, "model_dump"):
        return [
            made.model_dump(mode="json", warnings=False),
            made.model_dump(mode="json", by_alias=True, warnings=False),
        ]
    return [vars(made)]


def test_the_table_has_no_hole() -> None:
    there = {(cell.provider, cell.form) for cell in CELLS}
    providers = {cell.provider for cell in CELLS}
    whole = {(provider, form) for provider in providers for form in FORMS}
    assert whole - there == set(NOT_OFFERED), "each cell is tried, or says why there is none"


def test_every_adapter_is_in_the_table() -> None:
    names = {adapter.name.lower().replace(" ", "-").removesuffix("-sdk") for adapter in all_adapters()}
    # LiteLLM's own objects are tried with its package, which is too large to be installed everywhere.
    assert names - {"litellm"} == {cell.provider for cell in CELLS}
