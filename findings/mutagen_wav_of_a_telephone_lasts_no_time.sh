#!/usr/bin/env bash
# mutagen 1.48.1: ten minutes of a telephone call last 0.3 seconds where its WAV file is compressed (ADPCM, or MP3 inside),
# and five minutes as G.726.
#
# WAV is a container. Telephone systems, dictation machines and old archives put compressed sound into it, a quarter of the
# size. mutagen divides the bytes by the size of a block and takes the blocks for samples; a block of ADPCM has two thousand
# of them. `info.length` is what media pipelines ask before they send a file: at $0.006 a minute the call is estimated at
# $0.00003 instead of $0.06, and files "shorter than a second" are skipped as empty. Where the file says how many samples it
# has (the chunk `fact`, which such files must have), mutagen does not read it. tinytag and PyAV are right within half a
# second; Python's wave raises an error. https://github.com/quodlibet/mutagen/issues/578 mended the bit rate alone.
#
# What to do: ask soundfile or ffprobe for WAV, or refuse a length that is less than the file has bytes for.
#
# Seen on 2026-11-30 with Python 3.11, ffmpeg 9.0.2 of imageio-ffmpeg 0.8.1; ten minutes each, one channel:
#   uncompressed     mutagen 600.0  tinytag 600  PyAV 600  decoded 600
#   G.711 (mu-law)   mutagen 600.0  tinytag 600  PyAV 600  decoded 600
#   IMA ADPCM        mutagen 0.3    tinytag 600  PyAV 600  decoded 600
#   Microsoft ADPCM  mutagen 0.3    tinytag 600  PyAV 600  decoded 600
#   G.726            mutagen 300.0  tinytag 600  PyAV 600  decoded 600
#   MP3 in WAV       mutagen 0.5    tinytag 600  PyAV 600  decoded 600
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "mutagen==1.48.1" "tinytag==2.3.2" "av==18.1.0" \
  "imageio-ffmpeg==0.8.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import subprocess

import av
import imageio_ffmpeg
import mutagen
import tinytag

av.logging.set_level(av.logging.ERROR)
ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error"]
sound = ["-f", "lavfi", "-i", "anoisesrc=d=600:r=8000:a=0.3:seed=7"]
for kind, options, told in (
    ("uncompressed", ["-c:a", "pcm_s16le"], 600),
    ("G.711 (mu-law)", ["-c:a", "pcm_mulaw"], 600),
    ("IMA ADPCM", ["-c:a", "adpcm_ima_wav"], 0.3),
    ("Microsoft ADPCM", ["-c:a", "adpcm_ms"], 0.3),
    ("G.726", ["-c:a", "g726"], 300),
    ("MP3 in WAV", ["-c:a", "libmp3lame", "-b:a", "64k", "-ar", "16000"], 0.5),
):
    subprocess.run([*ffmpeg, "-y", *sound, *options, "call.wav"], check=True)
    raw = [*ffmpeg, "-i", "call.wav", "-f", "s16le", "-ac", "1", "-ar", "8000", "-"]
    decoded = len(subprocess.run(raw, stdout=subprocess.PIPE, check=True).stdout) / 2 / 8_000
    length = round(mutagen.File("call.wav").info.length, 1)
    with av.open("call.wav") as container:
        others = [tinytag.TinyTag.get("call.wav").duration, container.duration / 1_000_000]
    print(f"{kind:<16} mutagen {length:<6} tinytag {others[0]:.0f}  PyAV {others[1]:.0f}  decoded {decoded:.0f}")
    assert length == told and all(598 < each < 602 for each in (*others, decoded)), (length, others, decoded)
PYTHON
