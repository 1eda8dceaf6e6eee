#!/usr/bin/env bash
# mutagen 1.48.1, PyAV 18.1.0 (and ffprobe, which reads alike) and soundfile 0.14.0: five minutes of sound that begin with a
# minute of silence last ten minutes as MP3, and an hour and three quarters as AAC.
#
# MP3 and AAC (ADTS) are frames without a header for the whole. With a variable bit rate their length is known by
# reading all of them; these readers take the bit rate of the first frames and divide the size of the file by it. Silence
# takes few bits, and calls begin with it: waiting, or a muted microphone. Encoders that write to a file put a
# first frame there with the count (Xing); those that stream or cut do not. As an estimate for a budget, at $0.006 a minute,
# $0.03 become $0.06 and $0.63. Nothing in the number says that it is a guess.
#
# What to do: count what a decoder returns, or where that is too slow the packets of a demuxer
# (`ffprobe -count_packets`).
#
# Seen on 2026-11-30 with Python 3.11, ffmpeg of imageio-ffmpeg 0.8.1; 60 s of silence and 240 s of noise:
#   MP3, no Xing frame  mutagen 605    PyAV 605    soundfile 607   decoded 300
#   AAC (ADTS)          mutagen 6252   PyAV 6150   soundfile none  decoded 300
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "mutagen==1.48.1" "av==18.1.0" "soundfile==0.14.0" \
  "imageio-ffmpeg==0.8.1" 2>/dev/null
cd "$folder"
env/bin/python - <<'PYTHON'
import subprocess

import av
import imageio_ffmpeg
import mutagen
import soundfile

av.logging.set_level(av.logging.ERROR)
ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error"]
silence = ["-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono:d=60"]
noise = ["-f", "lavfi", "-i", "anoisesrc=d=240:r=44100:a=0.5:seed=7"]
sound = [*silence, *noise, "-filter_complex", "[0:a][1:a]concat=n=2:v=0:a=1"]
mp3 = ["-c:a", "libmp3lame", "-q:a", "4", "-write_xing", "0", "-id3v2_version", "0"]
for kind, name, options, least in (
    ("MP3, no Xing frame", "call.mp3", mp3, 590),
    ("AAC (ADTS)", "call.aac", ["-c:a", "aac", "-b:a", "96k", "-f", "adts"], 6000),
):
    subprocess.run([*ffmpeg, *sound, *options, name], check=True)
    raw = [*ffmpeg, "-i", name, "-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
    decoded = round(len(subprocess.run(raw, stdout=subprocess.PIPE, check=True).stdout) / 2 / 16_000)
    with av.open(name) as container:
        told = [round(mutagen.File(name).info.length), round(container.duration / 1_000_000)]
    if name.endswith(".mp3"):
        told.append(round(soundfile.info(name).duration))
    names = ("mutagen", "PyAV", "soundfile")
    cells = dict(zip(names, [*map(str, told), "none"]))
    print(f"{kind:<18}", *(f" {each} {cells[each]:<5}" for each in names), f"decoded {decoded}")
    assert decoded == 300 and all(each > least for each in told), (decoded, told)
PYTHON
