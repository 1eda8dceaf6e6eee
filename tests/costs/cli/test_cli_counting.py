"""A running count of long work, for those who look at a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from shared.costs.apps.cli.counting import counting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_the_count_and_then_an_empty_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with counting("rows") as told:
        told(100)
        told(1_200)
    assert terminal.getvalue() == "\rrows: 100\rrows: 1,200\r\x1b[K"


def test_the_line_is_wiped_when_work_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(KeyboardInterrupt), counting("rows"):
        raise KeyboardInterrupt
    assert terminal.getvalue().endswith("\x1b[K")


def test_a_pipe_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("rows") as told:
        told(100)
    assert capsys.readouterr().err == ""
