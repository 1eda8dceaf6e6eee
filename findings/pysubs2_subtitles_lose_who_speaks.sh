#!/usr/bin/env bash
# pysubs2 1.8.1: a WebVTT file that is read and written back has no speakers any more, and "&amp;" in it is five letters to
# whoever translates them; webvtt-py 0.6.0 keeps the speaker.
#
# Services that tell speakers apart write WebVTT with `<v Anna>` before a line, the format's own way. pysubs2 reads every
# format into that of ASS, where there is none: the tag is taken out as HTML, and neither `text` nor `name`, ASS' field for
# the actor, has it. Shifting, merging or translating subtitles loses it in passing. `keep_unknown_html_tags=True` was made
# for SRT (https://github.com/tkarabela/pysubs2/issues/26) and keeps it, in the text. Of the format's entities both libraries
# decode none: "Q&amp;A" goes to a translator with 7 letters, 4 more than are said, and services bill by letters.
#
# What to do: take speakers by webvtt-py's `caption.voice`, and html.unescape() the text that is sent.
#
# Seen on 2026-11-30 with Python 3.11; "<v Anna>Any Q&amp;A?":
#   pysubs2             text 'Any Q&amp;A?'          speaker ''      written back 'Any Q&amp;A?'
#   pysubs2, keep tags  text '<v Anna>Any Q&amp;A?'  speaker ''      written back '<v Anna>Any Q&amp;A?'
#   webvtt-py           text 'Any Q&amp;A?'          speaker 'Anna'  written back '<v Anna>Any Q&amp;A?'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "pysubs2==1.8.1" "webvtt-py==0.6.0" 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
import pysubs2
import webvtt

SAID = "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Anna>Any Q&amp;A?\n"
TAGGED = "<v Anna>Any Q&amp;A?"
lines = pysubs2.SSAFile.from_string(SAID)
kept = pysubs2.SSAFile.from_string(SAID, keep_unknown_html_tags=True)
captions = webvtt.from_string(SAID)
for library, text, speaker, written, expected in (
    ("pysubs2", lines[0].plaintext, lines[0].name, lines.to_string("vtt"), ("Any Q&amp;A?", "", "Any Q&amp;A?")),
    ("pysubs2, keep tags", kept[0].plaintext, kept[0].name, kept.to_string("vtt"), (TAGGED, "", TAGGED)),
    ("webvtt-py", captions[0].text, captions[0].voice, captions.content, ("Any Q&amp;A?", "Anna", TAGGED)),
):
    last = written.strip().splitlines()[-1]
    print(f"{library:19} text {text!r:22}  speaker {speaker!r:7} written back {last!r}")
    assert (text, speaker, last) == expected, (text, speaker, last)
PYTHON
