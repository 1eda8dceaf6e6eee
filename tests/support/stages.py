"""Running stage scripts and the batch runner as programs, and reading what they left."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import runpy
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest
from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, prepare
from pipeline.documents import Segment, Transcript
from pipeline.job import Job, Media
from pipeline.jobs import JobFolder

from tests.support.elapsed import PATIENCE_S

ROOT: Final = Path(__file__).resolve().parents[2]
RECORDINGS: Final = sorted((ROOT / "scripts" / "recordings").glob("*.flac"))
SPOKEN: Final = ("good morning everyone", "the garden needs water", "water is dear in the garden")
KEY: Final = "sk-canary-0123456789abcdef0123456789abcdef"
KEYS: Final = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")


@dataclass
class Done:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass
class Programs:
    """Starts the scripts in ``folder``, with an environment that a test may add to."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def command(self, script: str, *arguments: object) -> list[str]:
        """The command line of a script."""
        return [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *map(str, arguments)]

    def run(self, script: str, *arguments: object) -> Done:
        """Run a script to its end."""
        done = subprocess.run(
            self.command(script, *arguments),
            cwd=self.folder,
            env=self.whole_environ(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def within(self, script: str, *arguments: object) -> Done:
        """Run a script to its end in this process, where a provider's SDK is loaded once for all tests.

        For what a stage does and says. That it starts, and how a process of it ends, ``run`` shows.
        """
        command = self.command(script, *arguments)[1:]
        out, err = io.StringIO(), io.StringIO()
        with (
            _as_it_was(),
            mock.patch.dict(os.environ, self.whole_environ()),
            mock.patch.object(sys, "argv", command),
            chdir(self.folder),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            runpy.run_path(command[0], run_name="__main__")
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out.getvalue(), err.getvalue())

    def start(self, script: str, *arguments: object) -> subprocess.Popen[str]:
        """Start a script and return at once; use it with ``with``."""
        return subprocess.Popen(
            self.command(script, *arguments),
            cwd=self.folder,
            env=self.whole_environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def whole_environ(self) -> dict[str, str]:
        """What the programs see: this process's environment, keys for the loopback, and the test's own."""
        return {**os.environ, **dict.fromkeys(KEYS, KEY), **self.environ}

    def profile(self, content: str) -> None:
        """Write a profile and let the programs use it."""
        path = self.folder / "profile.yaml"
        path.write_text(content, encoding="utf-8")
        self.environ["COST_TRACKER_PROFILE"] = str(path)

    def job(self, user: str = "1", *, transcribed: bool = True, segments: int = 3) -> Job:
        """Make a job about a few spoken words, with a transcript as if stage 06 had run."""
        media = Media.of(RECORDINGS[-1] if transcribed else first_words(self.folder))
        job = JobFolder(self.folder / "out", user).create(media, datetime.now(UTC))
        if transcribed:
            spoken = tuple(Segment(float(at), at + 0.9, SPOKEN[at % len(SPOKEN)]) for at in range(segments))
            transcript = Transcript("en", "test", "test", float(segments), spoken)
            job.write(job.transcript_path, transcript.as_json())
        return job


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Undo what a stage sets for its whole process: the answer to SIGTERM, and how much is logged."""
    answer, level = signal.getsignal(signal.SIGTERM), logging.getLogger("shared").level
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, answer)
        logging.getLogger("shared").setLevel(level)


def entries(job: Path) -> list[dict[str, Any]]:
    """The lines of a job's ledger."""
    ledger = job / "cost_ledger.jsonl"
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def first_words(folder: Path, recording: Path = RECORDINGS[-1]) -> Path:
    """Write the beginning of a shipped recording ("good morning everyone") and a pause, and return it."""
    decoded = folder / f"decoded-{recording.stem}"
    decoded.mkdir()
    speech = next(prepare(recording, decoded).chunks(2 * SAMPLE_RATE * SAMPLE_BYTES))
    path = folder / f"words-{recording.stem}.wav"
    with wave.open(str(path), "wb") as stream:
        stream.setparams((1, SAMPLE_BYTES, SAMPLE_RATE, 0, "NONE", "not compressed"))
        stream.writeframes(speech + bytes(SAMPLE_RATE * SAMPLE_BYTES))
    return path


def words(text: str) -> list[str]:
    """The English words of a text, in lower case."""
    return re.findall(r"[a-z']+", text.lower())


def word_error_rate(spoken: str, heard: str) -> float:
    """Words to change, add or leave out (Levenshtein), for each word that was spoken."""
    right, found = words(spoken), words(heard)
    row = list(range(len(found) + 1))
    for place, word in enumerate(right, start=1):
        diagonal, row[0] = row[0], place
        for column, other in enumerate(found, start=1):
            least = min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
            diagonal, row[column] = row[column], least
    return row[-1] / len(right)
