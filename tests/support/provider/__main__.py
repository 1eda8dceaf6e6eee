"""Run the loopback provider by hand until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import cast

from . import ProviderServer, Reply
from .replies import HOWS, How


def main() -> None:
    """Serve on the port of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--replies", default="", help=f"answer first as: {', '.join(HOWS)} (with commas)")
    options = parser.parse_args()
    with ProviderServer(options.port) as server:
        server.next_replies(*(Reply(cast("How", how)) for how in options.replies.split(",") if how in HOWS))
        say("\n".join(f"{name}: {server.url(name)}" for name in ("openai", "anthropic", "gemini")))
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        say("\n".join(map(str, server.served)))


def say(text: str) -> None:
    """Write a line at once, so that whoever started the server can read it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
