#!/usr/bin/env bash
# dvc 3.67.1 and snakemake 9.27.1: a stage that keeps each answer in a file and skips those it has pays for all of them again:
# before it starts, or as soon as it failed, its folder is removed. The ledger of its calls, if it lies there, goes with it.
#
# A stage that asks a model a thousand times is written to go on where it stopped, and run by hand it does. Both tools take
# what a stage declares as its output for something that it makes from nothing: DVC removes it before each run, Snakemake
# after each that failed and before each new one. So the run that failed at the 900th of 1,000 recordings is paid twice, and
# after one new recording is added to a finished folder DVC asks for all. Nothing in the stage's own log looks wrong: it finds
# no answers. Asked for at https://github.com/snakemake/snakemake/issues/2234; DVC has a switch for each output.
#
# What to do: `persist: true` for the output in dvc.yaml; in Snakemake a folder beside the output that no rule declares. Keep
# ledgers of costs out of both.
#
# Seen on 2026-11-30 with Python 3.11; five recordings, the fourth fails once, then a sixth is added:
#                 paid by the run that fails  by the next  after one more  of 6
#   by hand       3                           2            1               6
#   dvc           3                           5            6               14
#   dvc, persist  3                           2            1               6
#   snakemake     3                           5            6               14
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "dvc==3.67.1" "snakemake==9.27.1" 2>/dev/null
export DVC_NO_ANALYTICS=1 HOME="$folder" XDG_CACHE_HOME="$folder/cache"
cat >"$folder/stage.py" <<'PYTHON'
import sys
from pathlib import Path

answers, paid = Path("answers"), Path("paid.log")
answers.mkdir(exist_ok=True)
for recording in Path("recordings.txt").read_text().split():
    answer = answers / f"{recording}.json"
    if answer.exists():
        continue
    if recording == Path("fails.txt").read_text():
        sys.exit(1)
    with paid.open("a") as log:
        log.write(f"{recording}\n")
    answer.write_text("{}")
PYTHON
dvc_stage() { printf 'stages:\n  ask:\n    cmd: python3 stage.py\n    deps: [recordings.txt]\n    outs:\n    - answers%s\n' "$1" >dvc.yaml; }
{
  for tool in "by hand" "dvc" "dvc, persist" "snakemake"; do
    mkdir "$folder/$tool"
    cd "$folder/$tool"
    cp ../stage.py .
    case $tool in
      "by hand") command=(python3 stage.py) ;;
      dvc*)
        git init --quiet .
        "$folder/env/bin/dvc" init --quiet
        if [[ $tool == dvc ]]; then dvc_stage ""; else dvc_stage $':\n        persist: true'; fi
        command=("$folder/env/bin/dvc" repro --quiet)
        ;;
      snakemake)
        printf 'rule ask:\n    input: "recordings.txt"\n    output: directory("answers")\n    shell: "python3 stage.py"\n' >Snakefile
        command=("$folder/env/bin/snakemake" --cores 1 --quiet all)
        ;;
    esac
    printf '%-14s' "$tool"
    : >paid.log
    before=0
    for run in "one two three four five|four" "one two three four five|none" "one two three four five six|none"; do
      printf '%s' "${run%|*}" >recordings.txt
      printf '%s' "${run#*|}" >fails.txt
      "${command[@]}" >/dev/null 2>&1 || true
      after=$(wc -l <paid.log)
      printf ' %s' $((after - before))
      before=$after
    done
    printf '  in all %s\n' "$before"
  done
} | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
by hand        3 2 1  in all 6
dvc            3 5 6  in all 14
dvc, persist   3 2 1  in all 6
snakemake      3 5 6  in all 14
SEEN
