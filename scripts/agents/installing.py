"""Pinned agents and readers of their logs, from npm, in a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Final

PACKAGES: Final = {
    "node": ("node@22.23.3",),
    "claude-code": ("@anthropic-ai/claude-code@2.1.332",),
    "codex": ("@openai/codex@0.171.0",),
    "gemini-cli": ("@google/gemini-cli@0.61.0",),
    "qwen-code": ("@qwen-code/qwen-code@0.24.4",),
    "opencode": ("opencode-ai@1.18.33",),
    "copilot-cli": ("@github/copilot@1.0.102",),
    "ccusage": ("ccusage@20.0.24", "@ccusage/ccusage-linux-x64@20.0.24"),
    "tokscale": ("tokscale@1.4.3",),
}
PROGRAMS: Final = {
    "claude-code": "claude",
    "codex": "codex",
    "gemini-cli": "gemini",
    "qwen-code": "qwen",
    "opencode": "opencode",
    "copilot-cli": "copilot",
    "ccusage": "ccusage",
}


class Environment:
    """A folder in which programs are installed when they are first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str) -> Path:
        """Return where a package is installed; it is installed first where it is not."""
        folder = self.root / name
        if not (folder / "node_modules").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "package.json").write_text(json.dumps({"name": name, "private": True}))
            command = [
                "npm",
                "install",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
                "--force",
                *PACKAGES[name],
            ]
            # Forced: some ask for a newer Node than the one that installs, and run under that of `path`.
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return folder

    def program(self, name: str) -> Path:
        """Return the program of an agent."""
        return self.folder(name) / "node_modules" / ".bin" / PROGRAMS[name]

    @property
    def path(self) -> str:
        """The search path with a Node that is new enough first."""
        node = self.folder("node") / "node_modules" / "node" / "bin"
        return f"{node}{os.pathsep}{os.environ['PATH']}"
