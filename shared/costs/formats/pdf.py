"""PDF: the page on paper, tagged for screen readers (PDF/UA-1), the same bytes for the same report.

WeasyPrint lays it out (the extra ``pdf``, and Pango, which is the system's). Nothing is fetched: the fonts
are this machine's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import CostError
from ..extras import install_command
from ..reports.document import Report
from .html import page_to_send

_OTHERWISE = "; or write it with --format html and print the page from a browser"


class MissingPdfExtra(CostError):
    """What lays pages out is not there. The message says how to get it, and what does without."""


def render(report: Report) -> bytes:
    """Return the report as PDF, to send: it names no local path.

    Raises:
        MissingPdfExtra: WeasyPrint, or Pango, which it needs, is not installed.
    """
    with _quiet():
        try:
            from weasyprint import HTML  # a second, and an extra: only PDF pays for it
            from weasyprint.urls import URLFetcher
        except ImportError:
            raise MissingPdfExtra(f"PDF needs WeasyPrint: {install_command('pdf')}{_OTHERWISE}") from None
        except OSError as fault:  # a library of the system that WeasyPrint loads
            raise MissingPdfExtra(
                f"PDF needs Pango ({_first_line(fault)}): apt-get install libpango-1.0-0 libpangoft2-1.0-0, "
                f"or brew install pango{_OTHERWISE}"
            ) from None
        document = HTML(
            string=page_to_send(report, on_paper=True), url_fetcher=URLFetcher(allowed_protocols=())
        )
        made: bytes = document.write_pdf(finisher=_set_feet_apart, pdf_variant="pdf/ua-1")
    return made


def _set_feet_apart(_: object, pdf: Any) -> None:
    """Mark as artifacts what stands in no structure: the feet of pages, which WeasyPrint marks as text.

    All content is either told or an artifact (ISO 14289-1, 7.1); findings/weasyprint_page_feet_untold.sh
    shows the marks. Content of a stream is a list of operands and operators.
    """
    told = set(_told(pdf.objects, pdf.objects[_number(pdf.catalog["StructTreeRoot"])]))
    dictionaries: Sequence[Any] = [each for each in pdf.objects if isinstance(each, dict)]
    for page in (each for each in dictionaries if each.get("Type") == "/Page"):
        content = pdf.objects[_number(page["Contents"])].stream
        for at, mark in enumerate(content):
            if isinstance(mark, dict) and "MCID" in mark and (page.reference, mark["MCID"]) not in told:
                content[at - 1 : at + 2] = [b"/Artifact", b"", b"BMC"]


def _told(objects: Sequence[Any], element: Mapping[str, Any]) -> Iterator[tuple[bytes, int]]:
    """Return the marks in the structure from an element on: the page's reference, and the number there."""
    for kid in element.get("K", ()):
        if isinstance(kid, int):
            yield element["Pg"], kid
        else:
            yield from _told(objects, objects[_number(kid)])


def _number(reference: bytes) -> int:
    return int(reference.split()[0])


def _first_line(fault: OSError) -> str:
    return str(fault).partition("\n")[0].partition(". ")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what WeasyPrint says of our style sheet: much of it is for screens alone."""
    logger = logging.getLogger("weasyprint")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
