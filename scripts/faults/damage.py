"""Damages ledgers in every way: cut at every byte, every bit flipped, and at random.

Whatever happens to the bytes, a line counts only as the entry that was written: no mutation may make
another sum, stop the reader, or take a neighbour with it.

    python scripts/faults/damage.py truncation [--records 100]
    python scripts/faults/damage.py flips [--records 100]
    python scripts/faults/damage.py mutations [--cases 1000000] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude, encode, entry
from shared.costs.ledger.line import decode
from shared.costs.ledger.lines import DamagedLine
from shared.costs.ledger.reader import read
from shared.costs.ledger.writer import append
from shared.costs.model import Entry


def truncation(options: argparse.Namespace) -> int:
    """Cut a ledger at every byte of its records, then append: earlier and next records must be there."""
    rng = random.Random(options.seed)
    cases = wrong = 0
    with tempfile.TemporaryDirectory() as name:
        ledger = Path(name) / "cost_ledger.jsonl"
        for _ in range(options.records):
            earlier, torn, following = entry(rng), entry(rng), entry(rng)
            whole = encode(earlier) + encode(torn)
            # In place of a sync a case: what is asked here is what the bytes become, not their durability.
            for cut in range(len(encode(earlier)), len(whole)):
                ledger.write_bytes(whole[:cut])
                ledger.chmod(0o600)
                append(ledger, encode(following), 1)
                found = [one.content.id for one in read(ledger) if isinstance(one.content, Entry)]
                expected = [earlier.id, *([torn.id] if cut == len(whole) - 1 else []), following.id]
                cases += 1
                wrong += found != expected
    return conclude("truncation", wrong == 0, cases=cases, wrong=wrong)


def flips(options: argparse.Namespace) -> int:
    """Flip every bit of every record: each is noticed, or what the line says is unchanged."""
    rng = random.Random(options.seed)
    cases = unnoticed = 0
    for _ in range(options.records):
        one = entry(rng)
        line = encode(one)
        for bit in range(len(line) * 8):
            flipped = bytearray(line)
            flipped[bit // 8] ^= 1 << bit % 8
            cases += 1
            unnoticed += any(found != one for found in decoded(bytes(flipped)))
    return conclude("bit flips", unnoticed == 0, cases=cases, unnoticed=unnoticed)


def decoded(content: bytes) -> list[Entry]:
    """Return the entries in some bytes, split as the reader splits them."""
    found = []
    for raw in content.split(b"\n")[:-1]:
        try:
            found.append(decode(raw + b"\n"))
        except DamagedLine:
            continue
    return found


Mutation = Callable[[bytearray, random.Random], None]


def _flip(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _byte(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] = rng.randrange(256)


def _cut_out(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    del content[start : start + rng.randrange(1, 60)]


def _repeat(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    content[start:start] = content[start : start + rng.randrange(1, 600)]


def _swap(content: bytearray, rng: random.Random) -> None:
    first, second = rng.randrange(len(content)), rng.randrange(len(content))
    content[first], content[second] = content[second], content[first]


def _digit(content: bytearray, rng: random.Random) -> None:
    places = [at for at, byte in enumerate(content) if 48 <= byte <= 57]
    content[rng.choice(places)] = rng.randrange(48, 58)


def _insert(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    content[at:at] = bytes(rng.choices(b'\n"{},:0123456789-.e\x00\xff', k=rng.randrange(1, 9)))


def _cut_off(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(1, len(content)) :]


MUTATIONS: tuple[Mutation, ...] = (_flip, _byte, _cut_out, _repeat, _swap, _digit, _insert, _cut_off)


def mutations(options: argparse.Namespace) -> int:
    """Mutate small ledgers at random: whatever is read must be an entry that was written."""
    rng = random.Random(options.seed)
    wrong = crashes = 0
    for case in range(options.cases):
        if case % 1000 == 0:
            written = {one.id: one for one in (entry(rng) for _ in range(3))}
            original = b"".join(encode(one) for one in written.values())
        content = bytearray(original)
        for _ in range(rng.randrange(1, 4)):
            if len(content) > 100:
                rng.choice(MUTATIONS)(content, rng)
        try:
            wrong += any(written.get(one.id) != one for one in decoded(bytes(content)))
        except Exception:  # whatever it is, it is what this program looks for
            crashes += 1
    return conclude("mutations", wrong == crashes == 0, cases=options.cases, wrong=wrong, crashes=crashes)


def main() -> int:
    """Run one kind of damage."""
    parser = command_line(__doc__)
    kinds = {"truncation": truncation, "flips": flips, "mutations": mutations}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--records", type=int, default=100)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return kinds[options.kind](options)


if __name__ == "__main__":
    raise SystemExit(main())
