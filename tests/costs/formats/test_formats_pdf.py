"""The reports as PDF: the page on paper, tagged, the same bytes each time, at every length."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from shared.costs.extras import install_command
from shared.costs.formats import load
from shared.costs.formats.pdf import MissingPdfExtra, render
from shared.costs.money import Nanos
from shared.costs.reports.document import Column, Report, Table
from shared.costs.reports.show_job import receipt_report
from shared.costs.reports.statement import statement_report
from tests.costs.formats.test_formats_html import report
from tests.support.history import busy_month, entry
from tests.support.statement import receipt_facts, statement_facts

POPPLER = shutil.which("pdftotext")
needs_poppler = pytest.mark.skipif(POPPLER is None, reason="poppler-utils is not installed")


def month() -> Report:
    return statement_report(statement_facts(busy_month()))


def receipt(calls: int) -> Report:
    return receipt_report(receipt_facts([entry(id=f"e{n}", attempt=n % 2 + 1) for n in range(calls)]))


def text_of(pdf: bytes, *options: str) -> str:
    ran = subprocess.run(["pdftotext", *options, "-", "-"], input=pdf, capture_output=True, check=True)
    return ran.stdout.decode()


def test_a_file_is_a_tagged_document_with_a_language_and_a_title() -> None:
    made = render(report())
    assert made.startswith(b"%PDF-1.7")
    objects = b"".join(_unpacked(made))
    for part in (
        b"/MarkInfo",
        b"/Lang (en)",
        b"/StructTreeRoot",
        b"/S /H1",
        b"/S /TH",
        b"/Alt (",
        b'pdfuaid:part="1"',
    ):
        assert part in objects, part


@pytest.mark.no_cover
def test_all_that_stands_on_a_page_is_in_its_structure(tmp_path: Path) -> None:
    """What PDF/UA asks of the structure, as far as it can be read: content, figures, headings, tables."""
    pikepdf = pytest.importorskip("pikepdf")
    file = tmp_path / "month.pdf"
    file.write_bytes(render(month()))
    with pikepdf.open(file) as document:
        told = set[tuple[int, int]]()
        elements = list(structure(document.Root.StructTreeRoot.K, 0, told))
        marked = {
            place for page in document.pages for place in marks(page, pikepdf.parse_content_stream(page))
        }
        assert marked == told
        names = [str(each.S) for each in elements]
        assert names[0] == "/Document"
        levels = [int(name[2]) for name in names if re.fullmatch("/H[1-6]", name)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert all(str(each.Alt).strip() for each in elements if each.S == "/Figure")
        assert names.count("/Table") == names.count("/THead") > 3
        assert document.Root.MarkInfo.Marked
        assert document.Root.ViewerPreferences.DisplayDocTitle


def structure(node: Any, page: int, told: set[tuple[int, int]]) -> Iterator[Any]:
    """The elements of a structure tree; ``told`` gets the content in them, by page and mark."""
    kind = getattr(node, "_type_name", "integer")
    if kind == "array":
        for kid in node:
            yield from structure(kid, page, told)
    elif kind == "dictionary":
        page = node.Pg.objgen[0] if "/Pg" in node else page
        if "/MCID" in node:
            told.add((page, int(node.MCID)))
        if "/S" in node:
            yield node
        if "/K" in node:
            yield from structure(node.K, page, told)
    else:
        told.add((page, int(node)))


def marks(page: Any, content: Any) -> Iterator[tuple[int, int]]:
    """The marks of a page's content; text outside of any is a fault."""
    depth = 0
    for operands, operator in content:
        name = str(operator)
        if name == "BDC" and "/MCID" in operands[1]:
            yield page.obj.objgen[0], int(operands[1].MCID)
        depth += {"BDC": 1, "BMC": 1, "EMC": -1}.get(name, 0)
        assert depth or name not in ("Tj", "TJ"), "text that is neither told nor an artifact"


@needs_poppler
def test_a_long_name_of_a_stage_leaves_the_names_of_models_room() -> None:
    calls = [
        entry(id=f"e{n}", stage="13_ai_summarization_of_long_recordings_with_chapters", model=name, attempt=n)
        for n, name in enumerate(("claude-3-5-sonnet-20241022", "gpt-4o"), 1)
    ]
    text = text_of(render(receipt_report(receipt_facts(calls))), "-layout")
    row = text[text.index("Share") : text.index("Total ", text.index("Share"))]
    assert len([line for line in row.splitlines()[1:] if line.strip()]) <= 3


def _unpacked(pdf: bytes) -> Iterator[bytes]:
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            yield zlib.decompress(stream)
        except zlib.error:
            yield stream


@pytest.mark.no_cover
@needs_poppler
def test_poppler_takes_it_for_a_tagged_document(tmp_path: Path) -> None:
    file = tmp_path / "month.pdf"
    file.write_bytes(render(month()))
    info = subprocess.run(["pdfinfo", file], capture_output=True, text=True, check=True).stdout
    assert "Tagged:          yes" in info
    assert "Title:           November 2026, everyone" in info


PROGRAM = """
import sys
from tests.costs.formats.test_formats_pdf import receipt, render
sys.stdout.buffer.write(render(receipt(3)))
"""


@pytest.mark.no_cover
def test_the_same_report_is_the_same_bytes_in_every_process() -> None:
    elsewhere = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
    ).stdout
    assert elsewhere.startswith(b"%PDF")
    assert elsewhere == render(receipt(3)) == render(receipt(3))


@pytest.mark.no_cover
@needs_poppler
@pytest.mark.parametrize("calls", [1, 17, 31, 32, 33, 64])
def test_a_receipt_of_any_length_has_all_its_calls_on_paper(calls: int) -> None:
    text = text_of(render(receipt(calls)), "-layout")
    assert text.count("$0.0") >= calls
    assert text.count("2026-11-01 13:30:00") == calls
    of_pages = [page.count("2026-11-01 13:30:00") for page in text.split("\f")]
    assert 1 not in of_pages[1:], of_pages  # no page begins with the last row of a table alone


@pytest.mark.no_cover
@needs_poppler
@needs_poppler
def test_the_total_of_a_table_of_several_pages_stands_under_its_last_row() -> None:
    """It stood under each page, as the sum of the rows above it."""
    columns = (Column("stage", "Stage"), Column("cost", "Cost", "money"))
    rows = tuple((f"stage {n}", Nanos(10**9)) for n in range(120))
    table = Table("By stage", columns, rows, total=("Together", Nanos(120 * 10**9)))
    pages = text_of(render(Report("Job", tables=(table,))), "-layout").split("\f")
    assert sum("stage " in page for page in pages) >= 3
    assert [page.count("$120.00") for page in pages if "stage " in page][:-1] == [0] * (len(pages) - 2)
    assert sum(page.count("$120.00") for page in pages) == 1


def test_paper_has_what_the_page_folds_and_chooses_and_no_path() -> None:
    text = text_of(render(month()), "-layout")
    for words in ("Where we stand", "By service", "By category", "Day by day", "2026-11-21", "job-7"):
        assert words in text
    assert "/data/out" not in text


class _Broken(MetaPathFinder):
    """Fails to load WeasyPrint, as where the package or a library of the system is not installed."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] == "weasyprint":
            raise self._fault
        return None


@pytest.fixture
def without_weasyprint(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    finder = _Broken(request.param)
    sys.meta_path.insert(0, finder)
    yield
    sys.meta_path.remove(finder)


PANGO = OSError(
    "cannot load library 'libpango-1.0-0': no such file. Additionally, ctypes.util.find_library() did not"
)


@pytest.mark.parametrize(
    ("without_weasyprint", "words"),
    [
        (
            ModuleNotFoundError("No module named 'weasyprint'"),
            f"{re.escape(install_command('pdf'))}; or write it with",
        ),
        (PANGO, r"Pango \(cannot load library 'libpango-1.0-0': no such file\): apt-get install"),
    ],
    indirect=["without_weasyprint"],
)
def test_without_it_the_message_says_how_to_get_it_and_what_does_without(
    without_weasyprint: None, words: str
) -> None:
    with pytest.raises(MissingPdfExtra, match=words) as refused:
        render(report())
    assert "print the page from a browser" in str(refused.value)
    assert refused.value.exit_code == 3


def test_pdf_is_a_format_of_bytes() -> None:
    assert load("pdf").render(Report("Empty")).startswith(b"%PDF")
