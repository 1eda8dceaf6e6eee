#!/usr/bin/env bash
# mutagen 1.48.1, tinytag 2.3.2 and Python's wave: a minute of sound that was written to a pipe lasts 0 seconds, or
# 37 hours, and no field says that the length is not known.
#
# Who writes to a pipe or a browser cannot go back and fill in the length. ffmpeg, speech services that answer with a
# stream and MediaRecorder leave a placeholder: the largest number in WAV, 0 in FLAC, and none in MP4 that is written
# in fragments. These readers take the placeholder for the length. As 0 seconds a transcription is estimated at
# $0.00; as 134,218 seconds the same minute is $13.42 at $0.006 a minute, and a budget denies it. Decoders are right.
#
# What to do: take 0, and more seconds than the file has bytes for, as unknown; count decoded samples.
#
# Seen on 2026-11-29 with Python 3.11, ffmpeg 9.0.2 of imageio-ffmpeg 0.8.1; a minute each:
#   fragmented MP4  mutagen 0       tinytag 0       decoded 60
#   FLAC            mutagen 0       tinytag 0       decoded 60
#   WAV             mutagen 134218  tinytag 134218  decoded 60  wave 134218
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "mutagen==1.48.1" "tinytag==2.3.2" \
  "imageio-ffmpeg==0.8.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import subprocess
import wave

import imageio_ffmpeg
import mutagen
import tinytag

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error"]
fragments = ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4"]
kinds = {
    "fragmented MP4": ("talk.m4a", fragments, 0),
    "FLAC": ("talk.flac", ["-f", "flac"], 0),
    "WAV": ("talk.wav", ["-f", "wav"], 134_218),
}
for kind, (name, options, expected) in kinds.items():
    with open(name, "wb") as pipe:
        tone = ["-f", "lavfi", "-i", "sine=d=60:r=16000", *options, "-"]
        pipe.write(subprocess.run([*ffmpeg, *tone], stdout=subprocess.PIPE, check=True).stdout)
    raw = [*ffmpeg, "-i", name, "-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
    heard = round(len(subprocess.run(raw, stdout=subprocess.PIPE, check=True).stdout) / 2 / 16_000)
    lengths = round(mutagen.File(name).info.length), round(tinytag.TinyTag.get(name).duration)
    line = f"{kind:<14}  mutagen {lengths[0]:<6}  tinytag {lengths[1]:<6}  decoded {heard}"
    if name.endswith(".wav"):
        with wave.open(name) as stream:
            frames = round(stream.getnframes() / stream.getframerate())
        line += f"  wave {frames}"
        assert frames == expected, frames
    print(line)
    assert lengths == (expected, expected) and heard == 60, (lengths, heard)
PYTHON
