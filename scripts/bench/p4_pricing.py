"""P4: price one call of a model that is already known to the process, against its floor and its peers.

The floor is a look-up in a dict and two integer multiplications. The peers (genai-prices, litellm,
tokencost) take part where they are installed; every figure comes from the same run. Pricing waits
for nothing, so processor time is measured: other work on the machine does not count.

    python scripts/bench/p4_pricing.py [--rounds 9] [--calls 2000]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from scripts.bench.harness import Row, show
from scripts.faults.command_line import command_line
from shared.costs.model import Usage
from shared.costs.pricing.catalogue import Catalogue

MODEL, TOKENS_INPUT, TOKENS_OUTPUT = "gpt-4o-mini", 1_500, 300
UPLIFTED = "claude-sonnet-4-6"
AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
TARGET_US, TARGET_TIMES = 3.0, 20.0


def main() -> None:
    """Measure and print the table."""
    options = _options()
    micros = _measure(_subjects(), options.rounds, options.calls)
    show(f"P4: pricing one call of {MODEL} (microseconds of processor time)", _rows(micros))


def _measure(subjects: dict[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, float]:
    """Return microseconds a call: the median over rounds in which the subjects take turns; one warms up."""
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds + 1):
        for name, call in subjects.items():
            start = time.process_time()
            for _ in range(calls):
                call()
            if number:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(found) / calls * 1e6 for name, found in times.items()}


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, rounds=9, calls=2_000)
    return parser.parse_args()


def _subjects() -> dict[str, Callable[[], object]]:
    subjects = {"floor: dict and integers": _floor(), **_ours()}
    for name, make in (("genai-prices", _genai), ("litellm", _litellm), ("tokencost", _tokencost)):
        if importlib.util.find_spec(name.replace("-", "_")):
            subjects[name] = make()
    return subjects


def _floor() -> Callable[[], object]:
    rates = {("openai", MODEL): (150, 600)}

    def call() -> int:
        price_in, price_out = rates["openai", MODEL]
        return TOKENS_INPUT * price_in + TOKENS_OUTPUT * price_out

    return call


def _ours() -> dict[str, Callable[[], object]]:
    catalogue = Catalogue.load()
    plain = Usage(TOKENS_INPUT, TOKENS_OUTPUT)
    tools = Usage(TOKENS_INPUT, TOKENS_OUTPUT, web_searches=2, file_searches=3, containers=1)
    spoken = Usage(audio_seconds=61.3)
    rich = Usage(TOKENS_INPUT, TOKENS_OUTPUT, tokens_cached=1_000, tokens_reasoning=100)
    return {
        "ours": lambda: catalogue.charge("openai", MODEL, plain, AT),
        "ours, with cached tokens and reasoning": lambda: catalogue.charge("openai", MODEL, rich, AT),
        "ours, a batch call": lambda: catalogue.charge("openai", MODEL, plain, AT, "batch"),
        "ours, with an uplift": lambda: catalogue.charge("anthropic", UPLIFTED, plain, AT, None, "us"),
        "tokens and three hosted tools": lambda: catalogue.charge("openai", "gpt-5", tools, AT),
        "ours, audio in increments": lambda: catalogue.charge("aws-transcribe", "standard", spoken, AT),
        "checking the counts, then ours": lambda: catalogue.charge(
            "openai", MODEL, Usage(TOKENS_INPUT, TOKENS_OUTPUT), AT
        ),
    }


def _genai() -> Callable[[], object]:
    from genai_prices import Usage as TheirUsage
    from genai_prices import calc_price

    usage = TheirUsage(input_tokens=TOKENS_INPUT, output_tokens=TOKENS_OUTPUT)
    return lambda: calc_price(usage, MODEL, provider_id="openai", genai_request_timestamp=AT)


def _litellm() -> Callable[[], object]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # importing it would ask the network for prices
    litellm = importlib.import_module("litellm")

    return lambda: litellm.cost_per_token(
        model=MODEL,
        prompt_tokens=TOKENS_INPUT,
        completion_tokens=TOKENS_OUTPUT,
        custom_llm_provider="openai",
    )


def _tokencost() -> Callable[[], object]:
    price = importlib.import_module("tokencost").calculate_cost_by_tokens

    return lambda: price(TOKENS_INPUT, MODEL, "input") + price(TOKENS_OUTPUT, MODEL, "output")


def _rows(micros: dict[str, float]) -> list[Row]:
    return [_row(name, found, found / micros["ours"]) for name, found in micros.items()]


def _row(name: str, micros: float, ratio: float) -> Row:
    target, met = "", None
    if name.startswith("ours"):
        target, met = f"<= {TARGET_US:g} us", micros <= TARGET_US
    elif name in {"genai-prices", "litellm"}:
        target, met = f">= {TARGET_TIMES:g} x ours", ratio >= TARGET_TIMES
    return Row(name, f"{micros:.2f}", f"{ratio:.2f} x ours", target, met)


if __name__ == "__main__":
    main()
