#!/usr/bin/env bash
# dask 2026.8.0: a frame whose answers become its index, or whose parts are to have a size, asks a model twice for each row; and a
# column that is merely defined has asked twice already, once about the word "a" and once about nothing.
#
# Dask promises to do nothing before `compute()`. Two things are done before. To know the type of a column it calls the function
# with a row of its own; each definition is two requests, each time that the program or the notebook's cell runs. And
# `set_index` on a column looks for the borders of its parts, `repartition(partition_size=...)` for their sizes, by computing what
# was defined so far and throwing it away; then `compute()` does it again. Sorting by the answer's class or writing parts of
# 100 MB is the usual end of a batch, and doubles it. `sort_values` and `to_parquet` alone ask once.
#
# What to do: `meta=`, and `persist()` (or Parquet) right after the column of answers.
#
# Seen on 2026-11-30 with Python 3.11, pandas 3.1.1, pyarrow 26.0.1; 20 rows, requests:
#   defined, not computed            2 ('a', <NA>)
#   computed                         22
#   with meta                        20
#   set_index                        40
#   repartition(partition_size=...)  40
#   persist, then set_index          20
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "dask[dataframe]==2026.8.0" "pandas==3.1.1" "pyarrow==26.0.1" \
  2>/dev/null
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import dask
import dask.dataframe
import pandas

dask.config.set(scheduler="synchronous")
texts = pandas.DataFrame({"text": [f"text {number}" for number in range(20)]})
frame = dask.dataframe.from_pandas(texts, npartitions=2)
asked = []


def ask(text):
    asked.append(text)
    return f"Summary of {text}"


def answered(meta=("text", "string")):
    return frame.assign(answer=frame["text"].map(ask, meta=meta) if meta else frame["text"].map(ask))


for name, run, expected in (
    ("defined, not computed", lambda: answered(meta=None), 2),
    ("computed", lambda: answered(meta=None).compute(), 22),
    ("with meta", lambda: answered().compute(), 20),
    ("set_index", lambda: answered().set_index("answer").compute(), 40),
    ("repartition(partition_size=...)", lambda: answered().repartition(partition_size="1MB").compute(), 40),
    ("persist, then set_index", lambda: answered().persist().set_index("answer").compute(), 20),
):
    asked.clear()
    run()
    own = [text for text in asked if not str(text).startswith("text ")]
    print(f"{name:32}", len(asked), own or "")
    assert len(asked) == expected, (name, asked)
    assert list(map(str, own)) == (["a", "<NA>"] if expected in (2, 22) else []), own
PYTHON
