from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from pipeline.config import apply_stage_config, config_path, load_config
from pipeline.engines import SUMMARY
from pipeline.faults import WrongUsage
from pipeline.stage import stage_parser

STAGE = "13_ai_summarization"
SHIPPED = Path(__file__).resolve().parents[2] / "config" / "pipeline.yaml"


def parser() -> argparse.ArgumentParser:
    made = stage_parser("", SUMMARY)
    made.add_argument("--sentences", type=int, default=2)
    made.add_argument("--to", nargs="+", default=["es"])
    made.add_argument("--stream", action="store_true")
    return made


def written(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(content)
    return path


def test_the_file_gives_defaults_and_the_command_line_decides(tmp_path: Path) -> None:
    path = written(tmp_path, f"stages: {{{STAGE}: {{engine: openai, sentences: 5, to: [hi], stream: true}}}}")
    made = parser()
    apply_stage_config(made, STAGE, path)
    options = made.parse_args(["job", "--sentences", "3"])
    assert (options.engine, options.sentences, options.to, options.stream) == ("openai", 3, ["hi"], True)


@pytest.mark.parametrize("content", ["", "stages:", f"stages: {{{STAGE}: }}", "jobs: 4"])
def test_an_empty_file_changes_nothing(tmp_path: Path, content: str) -> None:
    made = parser()
    apply_stage_config(made, STAGE, written(tmp_path, content))
    assert made.parse_args(["job"]).engine == "auto"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- 1", "the file must be a map"),
        ("{", "cannot be read"),
        ("job: 2", "job is not known; did you mean jobs"),
        ("zzz: 2", "zzz is not known; known are jobs, out, stages, workflow"),
        ("stages: [1]", "stages must be a map"),
        (f"stages: {{{STAGE}: {{engin: openai}}}}", "engin is not known; did you mean engine"),
        (f"stages: {{{STAGE}: {{engine: opnai}}}}", "'opnai' is none of auto, extractive"),
        (f"stages: {{{STAGE}: {{sentences: true}}}}", "sentences: must be of type int, not True"),
        (f"stages: {{{STAGE}: {{sentences: three}}}}", "must be of type int"),
        (f"stages: {{{STAGE}: {{to: es}}}}", "must be of type list"),
        (f"stages: {{{STAGE}: {{stream: 1}}}}", "must be of type bool"),
        (f"stages: {{{STAGE}: {{model: 4}}}}", "must be of type str"),
        (f"stages: {{{STAGE}: {{resume: true}}}}", "resume is not known"),
        (f"stages: {{{STAGE}: {{skip_budget_check: true}}}}", "skip_budget_check is not known"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(WrongUsage, match=said):
        apply_stage_config(parser(), STAGE, written(tmp_path, content))


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="cannot be read"):
        load_config(config_path(str(tmp_path / "missing.yaml")))


def test_the_file_here_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_path(None) is None
    assert load_config(None) == {}
    (tmp_path / "config").mkdir()
    written(tmp_path / "config", "jobs: 3")
    assert load_config(config_path(None)) == {"jobs": 3}


def test_the_shipped_file_is_right() -> None:
    content = load_config(SHIPPED)
    assert set(content["stages"]) == {"06_whisperx_asr", "10_translation", STAGE}
