#!/usr/bin/env bash
# APScheduler 3.11.3: a job "every day at midnight" in Cairo does not run on the day on which the clocks go forward, and the
# day's limit lasts 47 hours. croniter and cronsim run it at 01:00, when that day begins.
#
# Egypt, Lebanon and Chile change their clocks at midnight: 2026-04-24 in Cairo begins at 01:00. Cron itself runs what was
# skipped right after a jump (man 8 cron), and so do the two packages that read cron's expressions. CronTrigger has no
# midnight on that day and takes the next. Midnight is what people take in order to be out of the way of the hour that comes
# twice, and `hour=0` is CronTrigger's default where only a day or a weekday is given. No misfire is reported. Asked for
# since 2016: https://github.com/agronholm/apscheduler/issues/120.
#
# What to do: schedule in UTC and ask for the local day, or compute it when asked; resets need no clock.
#
# Seen on 2026-11-30 with Python 3.11, croniter 7.0.0, cronsim 2.8, tzdata 2026.6; runs from 2026-04-22, 12:00 in Cairo:
#   APScheduler  04-23 00:00  04-25 00:00  04-26 00:00
#   croniter     04-23 00:00  04-24 01:00  04-25 00:00
#   cronsim      04-23 00:00  04-24 01:00  04-25 00:00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "apscheduler==3.11.3" "croniter==7.0.0" "cronsim==2.8" \
  "tzdata==2026.6" 2>/dev/null
PYTHONTZPATH="" "$folder/env/bin/python" - <<'PYTHON'
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim

cairo = ZoneInfo("Africa/Cairo")
start = datetime(2026, 4, 22, 12, tzinfo=cairo)


def fired(trigger):
    run, now = None, start
    while True:
        run = trigger.get_next_fire_time(run, now)
        yield run
        now = (run.astimezone(timezone.utc) + timedelta(seconds=1)).astimezone(cairo)


spared = croniter("0 0 * * *", start)
for name, runs, second in (
    ("APScheduler", fired(CronTrigger(hour=0, minute=0, timezone=cairo)), "04-25 00:00"),
    ("croniter", (spared.get_next(datetime) for _ in range(3)), "04-24 01:00"),
    ("cronsim", CronSim("0 0 * * *", start), "04-24 01:00"),
):
    days = [next(runs).strftime("%m-%d %H:%M") for _ in range(3)]
    print(f"{name:12}", "  ".join(days))
    assert days[:2] == ["04-23 00:00", second], days
PYTHON
