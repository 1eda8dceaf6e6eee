"""The program that folds ledgers for a rebuild: chunks of them come in, one result each goes out."""

from __future__ import annotations

import pickle
import sys

from .scan import scan


def main() -> None:
    """Fold the chunks that come in on standard input, one after the other, until ``None`` comes."""
    while (chunk := pickle.load(sys.stdin.buffer)) is not None:  # noqa: S301  # from the process that started this one
        pickle.dump(scan(chunk), sys.stdout.buffer, protocol=pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
