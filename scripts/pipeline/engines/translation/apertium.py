"""Apertium: rule-based translation by the ``apertium`` program and its installed language pairs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from pipeline.engines import EngineOptions, Needs, Spent, Unavailable
from pipeline.engines.translation import Translated
from pipeline.faults import StageFailed

# Apertium's packages name languages by ISO 639-3: https://wiki.apertium.org/wiki/List_of_language_pairs
_ISO_639_3: Final = {
    "af": "afr", "an": "arg", "ca": "cat", "cy": "cym", "da": "dan", "en": "eng", "eo": "epo", "es": "spa",
    "eu": "eus", "fr": "fra", "gl": "glg", "hi": "hin", "id": "ind", "is": "isl", "it": "ita", "mk": "mkd",
    "ms": "msa", "nb": "nob", "nl": "nld", "nn": "nno", "oc": "oci", "pl": "pol", "pt": "por", "ro": "ron",
    "ru": "rus", "sl": "slv", "sv": "swe", "uk": "ukr", "ur": "urd",
}  # fmt: skip
_BREAK: Final = "\n\n"


class Apertium:
    """Translation on this machine."""

    backend = "apertium"
    service = "local"
    model = "apertium"
    segments_per_call = None

    def __init__(self, pair: str) -> None:
        self._pair = pair

    def needs(self, texts: Sequence[str]) -> Needs:  # noqa: ARG002 (the interface of translation engines)
        """Return nothing: no tokens are used."""
        return Needs()

    def translate(self, texts: Sequence[str]) -> Translated:
        """Translate all texts in one run; should it lose their borders, one run for each."""
        together = _run(self._pair, texts)
        lines = together if len(together) == len(texts) else [" ".join(_run(self._pair, [t])) for t in texts]
        spent = Spent({"characters": sum(map(len, texts))}, details={"pair": self._pair})
        return Translated(tuple(lines), spent)


def _run(pair: str, texts: Sequence[str]) -> list[str]:
    """Translate texts as paragraphs.

    Apertium moves words across line ends, but not across the end of a sentence; so each text is
    given a full stop, which is taken away again where it was not there before.
    """
    closed = [text if text.endswith((".", "?", "!")) else f"{text}." for text in texts]
    command = ["apertium", "-u", pair]
    done = subprocess.run(
        command,
        input=_BREAK.join(closed) + "\n",
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise StageFailed(f"apertium {pair} failed: {done.stderr.strip() or done.stdout.strip()}")
    lines = [" ".join(line.split()) for line in done.stdout.strip("\n").split(_BREAK)]
    return [
        line if text.endswith(".") else line.removesuffix(".")
        for line, text in zip_longest(lines, texts, fillvalue="")
    ]


def open_engine(options: EngineOptions) -> Apertium:
    """Return the engine for the direction of ``options``.

    Raises:
        Unavailable: the program or the language pair is missing.
    """
    if shutil.which("apertium") is None:
        raise Unavailable("apt install apertium apertium-eng-spa (or another pair)")
    source, target = options.language, options.target
    names = (f"{_ISO_639_3.get(source, source)}-{_ISO_639_3.get(target, target)}", f"{source}-{target}")
    listed = subprocess.run(["apertium", "-l"], capture_output=True, text=True, check=True).stdout.split()
    pair = next((name for name in names if name in listed), None)
    if pair is None:
        raise Unavailable(
            f"it has no pair {names[0]} (installed: {', '.join(listed) or 'none'}); apt install "
            "apertium-LANG1-LANG2"
        )
    return Apertium(pair)
