#!/usr/bin/env bash
# zstandard 0.25.0: of a log that was packed in two parts `decompress`, `read_to_iter` and `decompressobj` unpack the first;
# `stream_reader` and `copy_stream` of the same package, and pandas, polars, DuckDB and pyarrow, both.
#
# A file of Zstandard is a row of frames, as one of gzip is of members: `zstd day2 >> log.zst` and log writers that close a
# frame every hour make such files, and the zstd command and Python's gzip read all of them. Three ways of the package, which
# most programs in Python unpack with, end at the first frame as at the end of a file: no error, no warning, half of the
# calls. A program that is changed from a stream to one call loses them. The documentation says of `stream_reader` that it
# ends there too (read_across_frames is False), and it does not. Open since 2018:
# https://github.com/indygreg/python-zstandard/issues/59.
#
# What to do: zstandard.open, or a new decompressobj for `unused_data` until there is none.
#
# Seen on 2026-11-30 with Python 3.11, pandas 3.1.1, polars 2.1.0, duckdb 2.0.1, pyarrow 26.0.1; two days of three calls
# each:
#   decompress 3, read_to_iter 3, decompressobj 3
#   stream_reader 6, copy_stream 6, zstandard.open 6, pandas 6, polars 6, duckdb 6, pyarrow 6
#   the same log by gzip: gzip.open 6, gzip.decompress 6
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "zstandard==0.25.0" "pandas==3.1.1" "polars==2.1.0" \
  "duckdb==2.0.1" "pyarrow==26.0.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import gzip
import io
import json
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.json
import zstandard

days = ["".join(json.dumps({"id": f"{day}-{call}", "cost_usd": 0.5}) + "\n" for call in range(3)).encode() for day in (1, 2)]
for day in days:
    with open("calls.jsonl.zst", "ab") as file:
        file.write(zstandard.ZstdCompressor().compress(day))
    with gzip.open("calls.jsonl.gz", "ab") as file:
        file.write(day)
log = Path("calls.jsonl.zst")
unpacker = zstandard.ZstdDecompressor()


def lines(content):
    return len(content.splitlines())


copied = io.BytesIO()
unpacker.copy_stream(log.open("rb"), copied)
read = {
    "decompress": lines(unpacker.decompress(log.read_bytes())),
    "read_to_iter": lines(b"".join(unpacker.read_to_iter(log.open("rb")))),
    "decompressobj": lines(unpacker.decompressobj().decompress(log.read_bytes())),
    "stream_reader": lines(unpacker.stream_reader(log.open("rb")).read()),
    "copy_stream": lines(copied.getvalue()),
    "zstandard.open": lines(zstandard.open(log, "rb").read()),
    "pandas": len(pd.read_json(log, lines=True)),
    "polars": len(pl.read_ndjson(log)),
    "duckdb": duckdb.sql(f"SELECT count(*) FROM read_json('{log}')").fetchall()[0][0],
    "pyarrow": len(pyarrow.json.read_json(pa.input_stream(str(log), compression="zstd"))),
    "gzip.open": lines(gzip.open("calls.jsonl.gz").read()),
    "gzip.decompress": lines(gzip.decompress(Path("calls.jsonl.gz").read_bytes())),
}
for name, calls in read.items():
    print(f"{name:15} {calls}")
    assert calls == (3 if name in ("decompress", "read_to_iter", "decompressobj") else 6), (name, calls)
PYTHON
