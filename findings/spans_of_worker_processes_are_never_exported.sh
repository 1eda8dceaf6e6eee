#!/usr/bin/env bash
# opentelemetry-sdk 1.45.2: of calls made in worker processes of Python's own pools no span is exported, without an error; the same
# program with the start method `spawn`, as on macOS and Windows, exports all of them.
#
# BatchSpanProcessor, what every guide and every vendor's set-up uses, sends spans every five seconds and when the program ends.
# The end of the program is told by `atexit`, which Python does not run in a child that was forked: neither under `fork`,
# the start method on Linux up to Python 3.13, nor under `forkserver`, that since 3.14. A worker that lives less than five
# seconds loses all it had, any other its last five. A batch that spreads its calls over processes then costs next to nothing in every dashboard that
# reads spans, while a developer who tries it on a Mac sees all. SimpleSpanProcessor loses none.
#
# What to do: trace.get_tracer_provider().force_flush() at the end of each task, or SimpleSpanProcessor in workers.
#
# Seen on 2026-11-30 with Python 3.11; ten calls by two workers, spans that arrived:
#   ProcessPoolExecutor   fork 0   forkserver 0   spawn 10
#   Pool, closed, joined  fork 0   forkserver 0   spawn 10
#   with force_flush      fork 10  forkserver 10  spawn 10
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "opentelemetry-sdk==1.45.2" 2>/dev/null
cat >"$folder/workers.py" <<'PYTHON'
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

way, method, arrived = sys.argv[1:]


class ToFile(SpanExporter):
    def export(self, spans):
        with open(arrived, "a") as file:
            file.writelines(f"{span.name}\n" for span in spans)
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ToFile()))
trace.set_tracer_provider(provider)


def call(number):
    with trace.get_tracer("calls").start_as_current_span("call"):
        pass
    if way == "with force_flush":
        provider.force_flush()


if __name__ == "__main__":
    context = multiprocessing.get_context(method)
    if way == "Pool, closed, joined":
        pool = context.Pool(2)
        pool.map(call, range(10))
        pool.close()
        pool.join()
    else:
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            list(pool.map(call, range(10)))
PYTHON
for way in "ProcessPoolExecutor" "Pool, closed, joined" "with force_flush"; do
  told=""
  for method in fork forkserver spawn; do
    : >"$folder/arrived"
    "$folder/env/bin/python" -W ignore "$folder/workers.py" "$way" "$method" "$folder/arrived"
    told="$told$method $(wc -l <"$folder/arrived")  "
  done
  printf '%-21s %s\n' "$way" "$told"
  case $way in
    "with force_flush") [ "$told" = "fork 10  forkserver 10  spawn 10  " ] ;;
    *) [ "$told" = "fork 0  forkserver 0  spawn 10  " ] ;;
  esac
done
