"""The former place of the entry point."""

from __future__ import annotations

from ..apps.cli.main import main

__all__ = ["main"]
