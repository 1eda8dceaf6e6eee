"""Why a stage could not do its work, in words a person can act on."""

from __future__ import annotations


class StageFailed(Exception):
    """The stage could not do its work. The text is complete and goes to the job's log as it is."""

    exit_code = 3


class WrongUsage(StageFailed):
    """The command line, the configuration or the job directory does not make sense."""

    exit_code = 2


class StageSkipped(Exception):
    """The stage has nothing it can do here, and the batch goes on. The text says how to change that."""
