"""PDF: the page on paper, tagged for screen readers (PDF/UA-1), the same bytes for the same report.

WeasyPrint lays it out (the extra ``pdf``, and Pango, which is the system's). Nothing is fetched: the fonts
are this machine's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import CostError
from ..extras import install_command
from ..reports.document import Report
from .html import page_to_send

SUFFIX = ".pdf"

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
        made: bytes = document.write_pdf(pdf_variant="pdf/ua-1")
    return made


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
