#!/usr/bin/env bash
# mutagen 1.48.1 and music-metadata 12.1.0 (npm): ten seconds that were cut from a minute without copying last a minute; ffprobe,
# PyAV, tinytag and MediaInfo say ten seconds, which is what a decoder plays.
#
# An MP4 file (M4A, MOV, 3GP) keeps a track's samples apart from what is played of them: an edit list says "from second 20, for ten
# seconds" (ISO/IEC 14496-12, 8.6.6). Editors that cut without encoding again write one, since nothing else must change: the sound
# outside of it stays in the file. Both libraries read the track's media header, which counts all of it. What a service hears
# is what FFmpeg decodes, and that is billed: an estimate by the minute is six times too high here, and limits on length refuse
# files that fit. Packets counted by ffprobe are wrong as well, by a second, unless those with the flag D are left out. Others met
# it the other way round: https://github.com/mozilla/mp4parse-rust/issues/404.
#
# What to do: ffprobe's `format=duration`, or tinytag.
#
# Seen on 2026-11-30 with Python 3.11, Node 22.23.3, PyAV 18.1.0, tinytag 2.3.2, pymediainfo 7.0.1; seconds:
#                                 mutagen  music-metadata  tinytag  pymediainfo  PyAV    decoded
#   a minute                      60.032   60.032          59.968   59.968       59.968  59.968
#   seconds 20 to 30 of it        60.032   60.032          10.000   10.000       10.000  10.016
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "mutagen==1.48.1" "tinytag==2.3.2" "av==18.1.0" "numpy==2.4.6" \
  "pymediainfo==7.0.1" 2>/dev/null
cd "$folder"
npm init --yes >/dev/null
npm install --no-audit --no-fund --loglevel=error node@22.23.3 music-metadata@12.1.0 >/dev/null 2>&1
cat >length.mjs <<'NODE'
import {parseFile} from 'music-metadata'
const read = await parseFile(process.argv[2], {duration: true})
console.log(read.format.duration)
NODE
env/bin/python - <<'PYTHON'
import struct
import subprocess

import av
import mutagen
import numpy
import pymediainfo
import tinytag

RATE, FRAME = 16_000, 1024
with av.open("whole.m4a", "w") as file:
    stream = file.add_stream("aac", rate=RATE)
    stream.layout = "mono"
    sound = (numpy.sin(numpy.arange(RATE * 60) * 0.17) * 8000).astype("int16")
    for begin in range(0, len(sound) - FRAME, FRAME):
        part = av.AudioFrame.from_ndarray(sound[None, begin : begin + FRAME], format="s16", layout="mono")
        part.sample_rate, part.pts = RATE, begin
        file.mux(stream.encode(part))
    file.mux(stream.encode(None))
with open("whole.m4a", "rb") as file:
    cut = bytearray(file.read())
edits, movie, track = cut.find(b"elst"), cut.find(b"mvhd"), cut.find(b"tkhd")
count, _, begin = struct.unpack_from(">III", cut, edits + 8)  # what the encoder needs before the first sound
(scale,) = struct.unpack_from(">I", cut, movie + 16)
assert count == 1, "more edits than one"
struct.pack_into(">II", cut, edits + 12, 10 * scale, begin + 20 * RATE)
struct.pack_into(">I", cut, movie + 20, 10 * scale)
struct.pack_into(">I", cut, track + 24, 10 * scale)
with open("cut.m4a", "wb") as file:
    file.write(cut)


def decoded(name):
    with av.open(name) as file:
        return sum(frame.samples for frame in file.decode(audio=0)) / RATE


def stated(name):
    with av.open(name) as file:
        return file.duration / 1_000_000


def lengths(name):
    told = subprocess.run(["node_modules/.bin/node", "length.mjs", name], capture_output=True, check=True, text=True)
    yield "mutagen", mutagen.File(name).info.length
    yield "music-metadata", float(told.stdout)
    yield "tinytag", tinytag.TinyTag.get(name).duration
    yield "pymediainfo", pymediainfo.MediaInfo.parse(name).audio_tracks[0].duration / 1000
    yield "PyAV", stated(name)
    yield "decoded", decoded(name)


for name, expected in (
    ("whole.m4a", [60.032, 60.032, 59.968, 59.968, 59.968, 59.968]),
    ("cut.m4a", [60.032, 60.032, 10.0, 10.0, 10.0, 10.016]),
):
    found = dict(lengths(name))
    print(f"{name:10}", *(f"{reader} {seconds:.3f} " for reader, seconds in found.items()))
    assert [round(float(seconds), 3) for seconds in found.values()] == expected, found
PYTHON
