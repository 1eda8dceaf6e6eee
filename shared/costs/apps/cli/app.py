"""What every command has: a workspace, an output format, and a place to print to."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import click

from ...errors import WrongUsage
from ...formats import EXACT, load, names
from ...formats.canvas import Canvas
from ...periods import Period
from ...platform import with_home
from ...reports.document import Note, Report
from ...reports.reader import ProgressCallback, Reader, SharedReader
from ...workspace import Workspace

PROGRAM: Final = "cost-dashboard"

_COMMAND: Final = re.compile(rf"(?<![\w/.-]){PROGRAM} ([a-z]+(?:-[a-z]+)*)(?![\w=])")

Takes = Callable[[str], Collection[str] | None]
"""Gives the options of a command by its name, or ``None`` where there is no such command."""


class Invocation(NamedTuple):
    """How this run was called: the program, and the options that say whose costs and limits it is about.

    >>> options = (("--profile", "my profile.yaml"),)
    >>> here = Invocation(lambda name: {"--profile"}, "bin/cost-dashboard", options)
    >>> here.text("See cost-dashboard doctor.")
    "See bin/cost-dashboard doctor --profile 'my profile.yaml'."
    """

    takes: Takes
    program: str = PROGRAM
    options: tuple[tuple[str, str], ...] = ()

    def text(self, text: str) -> str:
        """Return a text with its commands as they are to be typed here."""
        if PROGRAM not in text or (self.program == PROGRAM and not self.options):
            return text
        return _COMMAND.sub(self._typed, text)

    def _typed(self, match: re.Match[str]) -> str:
        taken = self.takes(match[1])
        if taken is None:
            return match[0]
        given = [word for name, value in self.options if name in taken for word in (name, value)]
        return f"{self.program} {shlex.join([match[1], *given])}"

    def report(self, report: Report) -> Report:
        """Return a report whose notes and empty tables name commands as they are to be typed here."""
        return report._replace(
            notes=tuple(map(self._note, report.notes)),
            tables=tuple(each._replace(empty=self.text(each.empty)) for each in report.tables),
        )

    def _note(self, note: Note) -> Note:
        return note._replace(text=self.text(note.text), remedy=self.text(note.remedy))


def program_called(argument: str) -> str:
    """Return how the running program is called again, of ``sys.argv[0]``.

    >>> program_called("/nowhere/bin/cost-dashboard"), program_called("tools/cost-dashboard.py").split()[1]
    ('/nowhere/bin/cost-dashboard', 'tools/cost-dashboard.py')
    >>> program_called("-c")
    'cost-dashboard'
    """
    name = os.path.basename(argument)
    if name == PROGRAM:
        return PROGRAM if _is(shutil.which(PROGRAM), argument) else shlex.quote(argument)
    if name == f"{PROGRAM}.py":
        python = "python3" if _is(shutil.which("python3"), sys.executable) else sys.executable
        return shlex.join([python, argument])
    return PROGRAM


def _is(place: str | None, other: str) -> bool:
    return place is not None and os.path.realpath(place) == os.path.realpath(other)


_CLEAR = "\x1b[H\x1b[2J\x1b[3J"
"""Puts the cursor at the top and clears the screen and its history (ECMA-48)."""


class ReaderGone(Exception):
    """Whoever read the output has had enough (``| head``)."""


class Output(NamedTuple):
    """Where a report goes, and in which format. ``path`` is ``None`` for stdout."""

    format_name: str = "text"
    path: Path | None = None


class App(NamedTuple):
    """One run of one command."""

    workspace: Workspace
    output: Output
    profile: Path | None = None
    """The profile that was asked for by name."""
    here: Invocation | None = None
    """How this run was called, for commands that are named in what it prints."""

    @property
    def reader(self) -> Reader:
        """What reports read from, at the present instant."""
        return Reader(self.workspace, share_bar)

    @property
    def shared_reader(self) -> SharedReader:
        """What reports of all hosts read from, at the present instant."""
        return SharedReader(self.workspace, share_bar)

    @property
    def default_user(self) -> str:
        """The user whom a command without ``--user`` is about."""
        return self.reader.default_user

    def show(self, report: Report, day: date | None = None) -> None:
        """Print or write the report as the user asked, in the currency of the profile.

        ``day`` is the last one that its amounts are of, in which case that day's rate converts them.
        """
        if self.output.format_name not in EXACT:
            report = self.converted(report, day)
        if self.output.path is None:
            self.print(report, sys.stdout)
            return
        made = load(self.output.format_name).render(report)
        if isinstance(made, str):
            self.pour([made])
            return
        from ...replacing import replacing  # the terminal does not pay for it

        with replacing(self.output.path) as draft:
            draft.write_bytes(made)
        self.say(f"wrote {self.output.path}")

    def converted(self, report: Report, day: date | None) -> Report:
        """Return a report in the currency of the profile, for people."""
        currency = self.workspace.loaded_profile().profile.currency
        if currency is None:
            return report
        from ...formats.currency import as_shown  # only with a currency

        return as_shown(report, currency, day, self.workspace.clock().date())

    def print(self, report: Report, stream: TextIO) -> None:
        """Print the report to a stream in the format that was asked for.

        Raises:
            WrongUsage: the format is not text, and the stream is a terminal.
        """
        canvas = Canvas.of(stream, self.workspace.environ)
        if self.output.format_name == "text":
            from ...formats import text as text_format  # other formats do not pay for it

            stream.write(text_format.render(self.here.report(report) if self.here else report, canvas))
            return
        if self.output.format_name == "pdf" and stream.isatty():
            raise WrongUsage("pdf cannot be shown in a terminal; name a file: --output costs.pdf")
        made = load(self.output.format_name).render(report)
        if isinstance(made, str):
            stream.write(canvas.fit(made))
        else:
            stream.flush()
            stream.buffer.write(made)

    def pour(self, pieces: Iterable[str]) -> None:
        """Print or write text that comes in pieces, and is never whole in memory."""
        if self.output.path is None:
            canvas = Canvas.of(sys.stdout, self.workspace.environ)
            for piece in pieces:
                sys.stdout.write(canvas.fit(piece))
            return
        from ...replacing import replacing  # the terminal does not pay for it

        with replacing(self.output.path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(pieces)
        self.say(f"wrote {self.output.path}")

    def repeat(self, show: Callable[[], int], every_s: float | None) -> int:
        """Show something and return its exit code; with ``every_s`` again and again until interrupted."""
        code = show()
        while every_s is not None:
            sys.stdout.flush()
            time.sleep(every_s)
            if sys.stdout.isatty():
                sys.stdout.write(_CLEAR)
            code = show()
        return code

    def say(self, message: str) -> None:
        """Tell the user something beside the data, on stderr."""
        message = self.here.text(message) if self.here else message
        sys.stderr.write(Canvas.of(sys.stderr, self.workspace.environ).fit(message) + "\n")


def last_day(facts: object) -> date | None:
    """Return the last day that the amounts of a report's facts are of; ``None`` where they are of now."""
    period = getattr(facts, "period", None)
    return period.dates()[-1] if isinstance(period, Period) else None


_VALUES: Final = {"text": "NAME", "integer": "N", "integer range": "N", "float range": "N"}
"""What help calls the value of an option that does not say it: click would call it ``INTEGER RANGE``."""


def _is_empty(given: object) -> bool:
    """Tell whether what was typed for a parameter, or one of the values for it, is nothing."""
    return given == "" or (isinstance(given, (list, tuple)) and "" in given)


class DashboardCommand(click.Command):
    """A command with the options that all of them share, examples in its help, and a section.

    ``without`` names shared options that the command has no use for: it does not take them.
    """

    def __init__(
        self, *, section: str, examples: Sequence[str], without: Iterable[str] = (), **given: Any
    ) -> None:
        super().__init__(**given)
        self.section = section
        self.examples = examples
        own = {*without, *(param.name for param in self.params)}
        self.params.extend(option for option in _shared_options() if option.name not in own)
        for param in self.params:
            if isinstance(param, click.Option) and not (param.is_flag or param.metavar):
                param.metavar = _VALUES.get(param.type.name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; refuse what was given as nothing, as by a variable that is not set.

        It would mean another user, storage or profile than was meant, and the present folder as a path.
        """
        if not ctx.resilient_parsing:  # as for a shell that asks what may follow
            given = self._given(ctx, args)
            for param in self.params:
                if param.type is not click.UNPROCESSED and _is_empty(given.get(param.name or "")):
                    raise click.BadParameter("it is empty; give a value, or leave it out", ctx, param)
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as fault:
            choice = fault.param.type if isinstance(fault.param, click.Argument) else None
            if not isinstance(choice, click.Choice):
                raise
            names = ", ".join(map(str, choice.choices))  # click has a line for each
            raise click.UsageError(f"Missing argument: one of {names}.", ctx) from None

    def _given(self, ctx: click.Context, args: Sequence[str]) -> Mapping[str, Any]:
        """Return what was given, as text; an argument that was given like an option is named."""
        try:
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
        except click.NoSuchOption as fault:
            name = fault.option_name.lstrip("-").upper()
            arguments = (param for param in self.params if isinstance(param, click.Argument))
            if any(name in re.findall(r"[A-Z_]+", param.make_metavar(ctx)) for param in arguments):
                message = f"No such option '{fault.option_name}': write {name} alone."
                raise click.UsageError(message, ctx) from None
            raise
        return given

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on a line of its own."""
        root = ctx.find_root().info_name
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{root} {example}\n")
        super().format_epilog(ctx, formatter)


def dashboard_command(
    section: str, *examples: str, prepares: bool = True, without: Iterable[str] = ()
) -> Callable[[Callable[..., int | None]], DashboardCommand]:
    """Make a function a command of the dashboard: it gets an :class:`App` and its own parameters.

    ``section`` is the heading in ``--help``; ``examples`` are command lines without the program's
    name. The function returns an exit code, or nothing for "fine". With ``prepares`` the cost storage
    is made where it is missing. ``without`` names shared options that it does not take.
    """

    def decorate(function: Callable[..., int | None]) -> DashboardCommand:
        make = click.command(cls=DashboardCommand, section=section, examples=examples, without=without)
        return make(in_app(function, prepares))

    return decorate


def in_app(function: Callable[..., int | None], prepares: bool) -> Callable[..., int | None]:
    """Give a command its :class:`App`, made of the options that all commands share."""

    @wraps(function)
    def call(**given: Any) -> int | None:
        shared = {name: given.pop(name, None) for name in _SHARED_NAMES}
        settings = click.get_current_context().obj
        settings.debug = shared["debug"]
        settings.here = here = settings.here._replace(options=_given(shared))
        named = with_home(shared["profile"]) if shared["profile"] else None
        output = _output(shared["format_name"], shared["as_json"], shared["output"])
        with Workspace(shared["cost_storage"], shared["profile"], environ=os.environ) as workspace:
            if prepares:
                workspace.storage.require()
            try:
                return function(App(workspace, output, named, here), **given)
            except BrokenPipeError as gone:
                raise ReaderGone from gone  # click would exit with 1, which means bad news

    return call


def _given(shared: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the options that say whose costs and limits a command is about."""
    named = {"--cost-storage": shared["cost_storage"], "--profile": shared["profile"]}
    return tuple((name, value) for name, value in named.items() if value)


def _output(name: str | None, as_json: bool, file: str | None) -> Output:
    """Return where to print and how; without a word, the format is that of the file's ending."""
    path = Path(file) if file and file != "-" else None
    suffix = path.suffix.lstrip(".") if path else ""
    guessed = suffix if suffix in _SUFFIXES else "text"
    return Output("json" if as_json else name or guessed, path)


_SUFFIXES = frozenset({"json", "csv", "md", "txt", "html", "pdf"})
_SHARED_NAMES = ("as_json", "format_name", "output", "cost_storage", "profile", "debug")


def _shared_options() -> list[click.Parameter]:
    storage = "The cost storage. Default: COST_TRACKER_HOME, or your data folder."
    formats = "How to print it. Without it: text, or what the ending of --output says."
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="The same as --format json."),
        click.Option(["--format", "format_name"], type=click.Choice([*names(), "md"]), help=formats),
        click.Option(["--output", "-o"], metavar="FILE", help="Write to a file instead of the terminal."),
        click.Option(["--cost-storage"], metavar="DIR", help=storage),
        click.Option(["--profile"], metavar="FILE", help="The profile. Default: as show-budget says."),
        click.Option(["--debug"], is_flag=True, help="Show where an unexpected failure came from."),
    ]


@contextmanager
def progress_bar(label: str, total: int | None, shown: str | None = None) -> Iterator[Callable[[int], None]]:
    """Yield what is called with how much of ``total`` is done; without a total a count is shown.

    ``shown`` is tqdm's ``bar_format``, where it is not the usual one. The line is wiped at the end.

    >>> with progress_bar("Exporting", 10) as done:
    ...     done(10)
    """
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from tqdm import tqdm  # 45 ms that only a terminal pays for

    columns, lines = shutil.get_terminal_size()  # 80 by 24 where a terminal does not say
    place: dict[str, Any] = {"file": sys.stderr, "leave": False, "ncols": columns, "nrows": lines}
    with tqdm(desc=label, total=total, bar_format=shown, **place) as bar:

        def show(done: int) -> None:
            bar.update(done - bar.n)

        yield show


_SHARE: Final = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
"""A bar of a share: how many things it is of is not known before the first is done."""


@contextmanager
def share_bar(label: str) -> Iterator[ProgressCallback]:
    """Yield what is called with how much is done, and of how much.

    >>> with share_bar("Rebuilding") as advance:
    ...     advance(5, 10)
    """
    with progress_bar(label, 1_000, _SHARE) as bar:
        yield lambda done, total: bar(done * 1_000 // max(total, 1))
