#!/usr/bin/env bash
# google-cloud-speech 2.41.0: an answer that states no billed time reads as one that was billed 0 seconds.
#
# Messages in a protocol buffer have presence, and Google's wrapper returns None for an absent timestamp. A duration
# that is absent comes as `timedelta(0)`, and so does the one of an absent `metadata` of version 2, without an error
# on the way. A pipeline that prices `total_billed_time` books such a call at $0.00, and a test for None never
# fires. What tells the two apart is the membership test of the message.
#
# What to do: ask `"total_billed_time" in response` first; a billed time of zero is never a free recognition.
#
# Seen on 2026-11-29 with Python 3.11:
#   absent: 0:00:00, is None: False, in the message: False
#   stated as zero: 0:00:00, in the message: True
#   version 2, no metadata at all: 0:00:00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "google-cloud-speech==2.41.0"
"$folder/env/bin/python" - <<'PYTHON'
from datetime import timedelta

from google.cloud import speech_v1, speech_v2

absent = speech_v1.RecognizeResponse()
zero = speech_v1.RecognizeResponse(total_billed_time=timedelta(0))
second = speech_v2.RecognizeResponse()
name = "total_billed_time"
print(f"absent: {absent.total_billed_time}, is None: {absent.total_billed_time is None}, ", end="")
print(f"in the message: {name in absent}")
print(f"stated as zero: {zero.total_billed_time}, in the message: {name in zero}")
print(f"version 2, no metadata at all: {second.metadata.total_billed_duration}")
assert absent.total_billed_time == zero.total_billed_time == second.metadata.total_billed_duration == timedelta(0)
assert (name in absent, name in zero, "metadata" in second) == (False, True, False)
PYTHON
