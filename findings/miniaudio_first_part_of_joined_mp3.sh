#!/usr/bin/env bash
# miniaudio 1.71: of an MP3 file that was joined from two, the first one alone is decoded, without a word.
#
# MP3 is a stream of frames, so parts of a recording are joined by putting one behind the other, as phones, radio
# archives and `cat` do. Each part begins with a frame that states how many follow. miniaudio stops after as many as
# the first one states: half of the recording is never heard, and its length is half of what a provider bills that
# decodes all of it. ffmpeg decodes both parts, yet the length that it prints before (and ffprobe's) is a guess by
# the bytes, since the first frame contradicts the size of the file. Nobody warns.
#
# What to do: decode MP3 by ffmpeg and count the samples; take no header's word for what will be billed.
#
# Seen on 2026-11-29 with Python 3.11, ffmpeg 9.0.2 of imageio-ffmpeg 0.8.1, two parts of 60 s (quiet, then loud):
#   miniaudio, stated 60 s, decoded 60 s
#   ffmpeg, stated 230 s, decoded 120 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "miniaudio==1.71" "imageio-ffmpeg==0.8.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import re
import subprocess

import imageio_ffmpeg
import miniaudio

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-y"]
halves = "anullsrc=r=44100:cl=mono:d=30[quiet];anoisesrc=d=30:c=pink:r=44100:a=0.5:s=1[loud];[quiet][loud]concat=v=0:a=1"
subprocess.run([*ffmpeg, "-v", "error", "-filter_complex", halves, "-q:a", "2", "part.mp3"], check=True)
part = open("part.mp3", "rb").read()
with open("joined.mp3", "wb") as joined:
    joined.write(part + part)

stated = miniaudio.get_file_info("joined.mp3").duration
decoded = miniaudio.decode_file("joined.mp3")
heard = decoded.num_frames / decoded.sample_rate
print(f"miniaudio, stated {stated:.0f} s, decoded {heard:.0f} s")
assert (round(stated), round(heard)) == (60, 60)

raw = [*ffmpeg, "-i", "joined.mp3", "-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
run = subprocess.run(raw, capture_output=True, check=True)
hours, minutes, seconds = re.search(r"Duration: (\d+):(\d+):([\d.]+)", run.stderr.decode()).groups()
stated = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
heard = len(run.stdout) / 2 / 16_000
print(f"ffmpeg, stated {stated:.0f} s, decoded {heard:.0f} s")
assert (round(stated), round(heard)) == (230, 120)
PYTHON
