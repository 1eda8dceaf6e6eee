"""The most expensive recordings of a month, by what a minute of audio cost.

A recording is a job with audio in it; its cost is that of all its stages in the month. Audio that was
transcribed again counts each time, so that retries do not hide in a longer recording. Without --user:
everyone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..analysis.job import per_audio_minute
from ..analysis.sums import median
from ..money import Nanos
from ..periods import Period
from ..rollup import Query, Totals
from .common import Health, doubts, more_note, named, owner
from .document import Column, Figure, Ref, Report, Table, derive
from .queries import health, within
from .questions import TimeSpan, UserMonth
from .reader import Reader
from .spec import MONTH, USER, Spec

SHOWN: Final = 10
"""How many recordings are shown; the JSON has all."""


class RecordingCost(NamedTuple):
    """A job with audio, and what a minute of it cost, in nano-dollars."""

    job_id: str
    totals: Totals
    per_minute: Nanos

    @property
    def audio_seconds(self) -> float:
        """How long it is."""
        return self.totals.audio_microseconds / 1_000_000


class RecordingsFacts(NamedTuple):
    """The recordings of a month, the most expensive minute first, and the sums of all calls in it."""

    user_id: str | None
    period: Period
    recordings: Sequence[RecordingCost]
    totals: Totals
    health: Health = Health()


def recordings_facts(reader: Reader, asked: UserMonth) -> RecordingsFacts:
    """Return what a minute of each recording cost in a month."""
    period, query = within(reader, TimeSpan(asked.month_name), Query(user_id=asked.user))
    recordings, whole = [], Totals()
    for group in reader.index.groups(("ledger",), query):
        per_minute = per_audio_minute(group.totals)
        if per_minute is not None:
            recordings.append(RecordingCost(Path(str(group.key[0])).parent.name, group.totals, per_minute))
            whole.merge(group.totals)
    recordings.sort(key=lambda recording: (-recording.per_minute, recording.job_id))
    return RecordingsFacts(asked.user, period, recordings, whole, health(reader))


def recordings_report(facts: RecordingsFacts) -> Report:
    """Return the recordings whose minute cost most."""
    rates = [recording.per_minute for recording in facts.recordings]
    table = Table.of(
        "Recording",
        facts.recordings[:SHOWN],
        (Column("job", "Recording"), lambda recording: Ref(recording.job_id, "job")),
        (Column("per_minute", "A minute", "money", places=4), lambda recording: recording.per_minute),
        (Column("audio_seconds", "Audio", "duration", rank=1), lambda recording: recording.audio_seconds),
        (Column("calls", "Calls", "count", rank=2), lambda recording: recording.totals.calls),
        (Column("cost", "Cost", "money"), lambda recording: recording.totals.cost),
        empty="No call with audio in this month.",
    )
    return Report(
        title=f"Most expensive recordings, {owner(facts.user_id) if facts.user_id else 'everyone'}",
        subtitle=named(facts.period),
        figures=_figures(rates) if rates else (),
        tables=(table,),
        notes=(*more_note(len(rates) - SHOWN), *doubts(facts.totals, facts.health)),
        data={
            **derive(facts, "user_id", "month=period.name"),
            "recordings": [
                derive(recording, "job_id", "per_minute", "audio_seconds", "totals.calls", "totals.cost")
                for recording in facts.recordings
            ],
            **derive(facts, "totals.unpriced_calls", "totals.partial_calls", "health.incomplete"),
        },
    )


def _figures(rates: Sequence[Nanos]) -> tuple[Figure, ...]:
    return (
        Figure("recordings", "Recordings", len(rates), "count"),
        Figure("median", "Median", median(rates), note="a minute of audio", places=4),
    )


SPEC: Final = Spec(
    "Look",
    ("top-recordings", "top-recordings --month 2026-10 --user rpatel --json"),
    UserMonth,
    recordings_facts,
    recordings_report,
    options=(USER, MONTH),
)
