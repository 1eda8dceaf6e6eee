"""The errors of the project. Each message names the value, the place and the next step.

A wrong argument to the tracker raises a plain ``ValueError`` or ``TypeError``; everything else that
is refused raises a :class:`CostError`, whose ``exit_code`` the command line returns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

FINE: Final = 0
BAD_NEWS: Final = 1
"""The result is bad news: a limit is crossed, damage was found, something was refused or not sent."""

WRONG_USAGE: Final = 2
FAILED: Final = 3
"""The command failed, or its result is not known because entries are missing."""

INTERRUPTED: Final = 130
"""The exit code of shells for a process that Ctrl-C ended (128 + SIGINT)."""


class CostError(Exception):
    """Something could not be done. The text is a complete message for people."""

    exit_code = FAILED


class WrongUsage(CostError):
    """A command was given arguments that do not fit together."""

    exit_code = WRONG_USAGE


class FilePosition(NamedTuple):
    """The place of a value in a file; ``line`` counts from 1."""

    path: Path
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.key}" if self.key else place


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
"""The failures that may happen while a call is recorded and must not end the stage: of disks, descriptors and
memory, of imports (while the interpreter shuts down, or a package is being replaced), and those that the
objects of a response raise when they are read."""


NOT_LOADED: Final = (ImportError, OSError, SyntaxError, EOFError, MemoryError)
"""The failures of an import without free descriptors, from a package that is being replaced, and while the
interpreter shuts down."""


def reraise_foreign(fault: BaseException) -> None:
    """Raise ``fault`` if it comes from outside, such as a signal handler's ``TimeoutError("too slow")``.

    That is an ``OSError`` too, but those of system calls have an error number.
    """
    is_ours = isinstance(fault, CostError) or not isinstance(fault, OSError) or fault.errno is not None
    if not is_ours:
        raise fault


class FileRefused(CostError):
    """A configuration file cannot be used. The text names file, line, key, value and what would be right."""

    def __init__(self, place: FilePosition, fault: str, remedy: str) -> None:
        super().__init__(f"{place}: {fault}; {remedy}")
        self.place = place
        self.fault = fault
        self.remedy = remedy


class ProfileError(FileRefused):
    """A profile that does not follow the contract. The budget gate refuses calls until it is fixed."""


class PriceFileError(FileRefused):
    """A price file that does not follow its format."""


class UnsafePath(CostError, OSError):
    """A file that must be this account's own is a link, a pipe, a device, shared or somebody else's."""


class StorageUnavailable(CostError):
    """The cost storage cannot be read or written."""


class StorageBusy(StorageUnavailable):
    """Others used the storage for longer than this caller may wait: trying again may help."""


class UnknownJob(CostError, LookupError):
    """No job has exactly this id, or several have it."""


class UnknownEntry(CostError, LookupError):
    """No ledger has an entry with this id, or none that can be corrected."""


class Denial(NamedTuple):
    """Why a reservation was denied. Amounts in nano-dollars, or in calls or tokens as ``measure`` says.

    ``scope`` is the tightest limit in words (``monthly limit of user rpatel``);
    ``reserved`` is the sum of live and orphaned holds.
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
