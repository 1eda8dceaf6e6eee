#!/usr/bin/env bash
# mutagen 1.48.1, tinytag 2.3.2 and ffprobe: of a recording cut into pieces of 40 seconds, the second Opus file lasts 80 seconds
# and the third 120.
#
# Long recordings are cut before they are sent, since speech services take 25 MB or so. A page of Ogg states its position in
# the stream, and a cut without encoding anew, or ffmpeg's `segment`, keeps positions as they were. These readers take the
# position of the last page for the length; mutagen and tinytag do so for Vorbis too, and ffprobe there subtracts the first.
# Added up, 9 pieces of 40 seconds come to 30 minutes in place of 6, and a budget that reserves by them holds five
# times the cost. As MP3 and M4A the same cut is right. Decoders are right in all.
#
# What to do: add up the packets (`ffprobe -show_entries packet=duration_time`), or `-reset_timestamps 1` when cutting.
#
# Seen on 2026-11-30 with Python 3.11, ffmpeg of imageio-ffmpeg 0.8.1; 120 s in three pieces:
#   Opus    mutagen 40 80 120  tinytag 39 79 119  ffmpeg's header 40 80 120  decoded 40 40 40
#   Vorbis  mutagen 40 80 120  tinytag 39 79 119  ffmpeg's header 40 40 40  decoded 40 40 40
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "mutagen==1.48.1" "tinytag==2.3.2" \
  "imageio-ffmpeg==0.8.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import re
import subprocess

import imageio_ffmpeg
import mutagen
import tinytag

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner"]


def header(name):
    said = subprocess.run([*ffmpeg, "-i", name], stderr=subprocess.PIPE, text=True).stderr
    hours, minutes, seconds = re.search(r"Duration: (\d+):(\d+):(\d+\.\d+)", said).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def decoded(name):
    raw = [*ffmpeg, "-v", "error", "-i", name, "-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
    return len(subprocess.run(raw, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout) / 2 / 16_000


readers = {
    "mutagen": lambda name: mutagen.File(name).info.length,
    "tinytag": lambda name: tinytag.TinyTag.get(name).duration,
    "ffmpeg's header": header,
    "decoded": decoded,
}
for kind, codec, suffix, expected in (
    ("Opus", "libopus", "opus", {"ffmpeg's header": [40, 80, 120]}),
    ("Vorbis", "libvorbis", "ogg", {"ffmpeg's header": [40, 40, 40]}),
):
    cut = ["-f", "lavfi", "-i", "sine=d=120:r=48000", "-c:a", codec, "-f", "segment", "-segment_time", "40"]
    subprocess.run([*ffmpeg, "-v", "error", *cut, f"piece%d.{suffix}"], check=True)
    pieces = [f"piece{each}.{suffix}" for each in range(3)]
    told = {reader: [round(length(each)) for each in pieces] for reader, length in readers.items()}
    print(f"{kind:<6}", *(f" {reader} {' '.join(map(str, lengths))}" for reader, lengths in told.items()))
    assert told["mutagen"] == [40, 80, 120] and told["decoded"] == [40, 40, 40], told
    assert told["tinytag"][1] >= 79 and told["tinytag"][2] >= 118, told
    assert told["ffmpeg's header"] == expected["ffmpeg's header"], told
PYTHON
