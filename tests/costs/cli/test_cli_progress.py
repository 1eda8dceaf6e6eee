"""Progress of long work, for those who look at a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from shared.costs.apps.cli.app import progress_bar, share_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [None, 1_200])
def test_a_terminal_sees_the_work_and_then_an_empty_line(
    monkeypatch: pytest.MonkeyPatch, total: int | None
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress_bar("rows", total) as told:
        told(100)
        told(1_200)
    assert "rows: " in terminal.getvalue()
    assert terminal.getvalue().rstrip(" ").endswith("\r")


def test_the_line_is_wiped_when_work_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with pytest.raises(KeyboardInterrupt), share_bar("rows") as told:
        told(1, 2)
        raise KeyboardInterrupt
    assert terminal.getvalue().endswith("\r")


def test_a_share_is_told_in_percent_since_its_number_is_not_one_of_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with share_bar("Repricing") as told:
        told(0, 1)
        told(1, 1)
    assert "Repricing:   0%" in terminal.getvalue()
    assert "1000" not in terminal.getvalue()


def test_a_pipe_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("rows", None) as told:
        told(100)
    assert capsys.readouterr().err == ""
