"""One tree of errors. Each message names the value, the place and the next step.

A wrong argument to the tracker is a plain ``ValueError`` or ``TypeError``; everything else that
can be refused is a :class:`CostError`, whose ``exit_code`` the command line returns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

FINE: Final = 0
BAD_NEWS: Final = 1
"""The answer is bad news: a limit is crossed, damage was found, something was refused or not sent."""

WRONG_USAGE: Final = 2
FAILED: Final = 3
"""It could not be done, or cannot be told: entries are missing."""

INTERRUPTED: Final = 130
"""As a shell reports a process that Ctrl-C ended (128 + SIGINT)."""


class CostError(Exception):
    """Something could not be done. The text is complete: it is shown to people as it is."""

    exit_code = FAILED


class WrongUsage(CostError):
    """A command was given arguments that make no sense together."""

    exit_code = WRONG_USAGE


class Place(NamedTuple):
    """Where in a file a value stands; ``line`` counts from 1."""

    path: Path
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.key}" if self.key else where


FAILURES: Final = (
    CostError,
    OSError,
    ImportError,
    SyntaxError,
    EOFError,
    MemoryError,
    RuntimeError,
    ArithmeticError,
    AttributeError,
    NameError,
    LookupError,
    TypeError,
    ValueError,
)
"""What may go wrong on the way of a call that is recorded and must not end it: disks, descriptors, memory,
modules that cannot be loaded (an interpreter that ends, a package that is being replaced), and what the
objects of a response raise when they are looked at."""


NOT_LOADED: Final = (ImportError, OSError, SyntaxError, EOFError, MemoryError)
"""What an import raises without descriptors, in a package that is being replaced, and in an interpreter that
ends."""


def reraise_foreign(fault: BaseException) -> None:
    """Raise a failure that is none of ours: a signal handler's ``TimeoutError("too slow")``.

    It is an ``OSError`` too; those of system calls have a number.
    """
    is_ours = isinstance(fault, CostError) or not isinstance(fault, OSError) or fault.errno is not None
    if not is_ours:
        raise fault


class FileRefused(CostError):
    """A configuration file cannot be used: names file, line, key, value and what would be right."""

    def __init__(self, place: Place, fault: str, remedy: str) -> None:
        super().__init__(f"{place}: {fault}; {remedy}")
        self.place = place
        self.fault = fault
        self.remedy = remedy


class ProfileError(FileRefused):
    """A profile that does not follow the contract. The budget gate refuses while it stands."""


class PriceFileError(FileRefused):
    """A price file that does not follow its format."""


class UnsafePath(CostError, OSError):
    """A file that must be ours is a link, a pipe, a device, shared or somebody else's."""


class StorageUnavailable(CostError):
    """The cost storage cannot be read or written."""


class StorageBusy(StorageUnavailable):
    """Others held the storage for longer than this caller may wait: trying again may help."""


class UnknownJob(CostError, LookupError):
    """No job has exactly this id, or several have it."""


class UnknownEntry(CostError, LookupError):
    """No ledger has an entry with this id, or none that can be corrected."""


class Denial(NamedTuple):
    """Why a reservation was denied. Amounts in nano-dollars, or in calls or tokens as ``measure`` says.

    ``scope`` is the tightest limit as people call it (``monthly limit of user rpatel``);
    ``reserved`` counts live holds and orphaned ones.
    """

    scope: str
    limit: int
    spent: int
    reserved: int
    requested: int
    measure: str = "cost"


class BudgetExceeded(CostError):
    """A reservation was denied, because it could have overrun a blocking limit."""

    exit_code = BAD_NEWS

    def __init__(self, message: str, denial: Denial) -> None:
        super().__init__(message)
        self.denial = denial


class BudgetGateUnavailable(CostError):
    """A blocking budget could not be checked, so the call was refused."""
