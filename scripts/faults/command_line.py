"""The command line that the programs for faults and for measurements have in common."""

from __future__ import annotations

import argparse
from typing import Final

_HELP: Final = {
    "seconds": "stop after this long; 0: never",
    "seed": "of the random numbers",
}


def command_line(about: str | None, **numbers: float) -> argparse.ArgumentParser:
    """Return a parser whose help is ``about``, with ``--name NUMBER`` for each of ``numbers``.

    What is given with an integer takes integers only. The number given here is the default.

    >>> command_line("Adds up.", rounds=7, seconds=0.5).parse_args(["--rounds", "3"])
    Namespace(rounds=3, seconds=0.5)
    """
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for name, default in numbers.items():
        told = "; ".join(filter(None, (_HELP.get(name), f"default: {default:,}")))
        made.add_argument(f"--{name}", type=type(default), default=default, help=told)
    return made
