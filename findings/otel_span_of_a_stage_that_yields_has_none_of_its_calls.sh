#!/usr/bin/env bash
# opentelemetry-sdk 1.45.2: decorated with `@tracer.start_as_current_span`, a stage that yields its answers has none of its
# calls in its span, not even in its trace; with the same span by `with` inside, it has its caller's calls too.
#
# Stages that stream are generators. A call of one only makes the generator, and the decorator's span is over before the
# first line runs: 0 ms, and the calls of the model that the stage makes are roots of traces of their own. By `with` the span
# is open while the generator waits at its `yield`, and open means current for whoever asked for the piece: what the next
# stage does with it hangs below the first one. Costs by stage, added up along the tree, are 0 for the one and both stages'
# for the other. asyncio's generators do the same. The decorator's half was reported as an instrumentation's fault:
# https://github.com/Arize-ai/openinference/issues/1268.
#
# What to do: name the stage on each call's own span, or make the span current around the calls alone and not around `yield`.
#
# Seen on 2026-11-30 with Python 3.11; `translate` calls a model for each of two pieces, `speak`, its caller, for each too:
#   @start_as_current_span  translate has no calls; without a stage: translate, translate
#   with, and yield inside  translate has the calls translate, speak, translate, speak
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "opentelemetry-sdk==1.45.2" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("pipeline")


def call_model(stage):
    with tracer.start_as_current_span(f"call of {stage}"):
        pass


@tracer.start_as_current_span("translate")
def decorated():
    for piece in ("one", "two"):
        call_model("translate")
        yield piece


def inside():
    with tracer.start_as_current_span("translate"):
        for piece in ("one", "two"):
            call_model("translate")
            yield piece


def calls_of(stage, caller):
    """Return the calls below the stage's span, and those that are below none."""
    exporter.clear()
    for _ in stage():
        call_model(caller)
    spans = exporter.get_finished_spans()
    [whole] = [span.context.span_id for span in spans if span.name == "translate"]
    calls = sorted((span for span in spans if span.name != "translate"), key=lambda span: span.start_time)
    below = [span.name[8:] for span in calls if span.parent and span.parent.span_id == whole]
    return below, [span.name[8:] for span in calls if span.parent is None]


below, roots = calls_of(decorated, "speak")
roots = [name for name in roots if name == "translate"]
print("@start_as_current_span  translate has", *(below or ["no calls;"]), "without a stage:", ", ".join(roots))
assert (below, roots) == ([], ["translate", "translate"]), (below, roots)
below, roots = calls_of(inside, "speak")
print("with, and yield inside  translate has the calls", ", ".join(below))
assert (below, roots) == (["translate", "speak", "translate", "speak"], []), (below, roots)
PYTHON
