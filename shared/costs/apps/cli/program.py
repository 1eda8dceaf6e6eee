"""The program: finds the command, runs it, and turns every failure into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import click

from ... import __version__, reports
from ...errors import FAILED, FINE, INTERRUPTED, CostError
from ...exchange import reports as exchange_reports
from ...reports.spec import Spec, exit_code_of, spec_in
from . import commands
from .app import PROGRAM, App, DashboardCommand, Invocation, ReaderGone, in_app, last_day, program_called
from .options import parameters


class RunSettings:
    """What holds for one run of the program, whatever the command."""

    debug: bool = False

    def __init__(self, here: Invocation) -> None:
        self.here = here


class Commands(click.Group):
    """All commands, each imported when it is called: ``show-budget`` does not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of all commands."""
        return _names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> DashboardCommand | None:  # noqa: ARG002  # as above
        """Return a command by name, or ``None`` where there is none."""
        return _command(cmd_name.replace("-", "_"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was asked for; name the nearest ones where there is none."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from difflib import get_close_matches  # only for a mistyped command

            near = get_close_matches(args[0], self.list_commands(ctx), n=3, cutoff=0.5)
            hint = f" Did you mean {' or '.join(near)}?" if near else f" See {PROGRAM} --help."
            ctx.fail(f"No such command: {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            if command := self.get_command(ctx, name):
                sections.setdefault(command.section, []).append((name, command.get_short_help_str(200)))
        for section, lines in sorted(sections.items(), key=lambda item: _ORDER.index(item[0])):
            with formatter.section(section):
                formatter.write_dl(lines)


@cache
def _names() -> list[str]:
    from pkgutil import iter_modules  # only to list all of them

    places = [path for package in (commands, *_REPORTS) for path in package.__path__]
    built = (_command(module.name) for module in iter_modules(places))
    return sorted(str(command.name) for command in built if command)


@cache
def _command(module: str) -> DashboardCommand | None:
    """Return the command of a module: one that does something, or one that shows a report."""
    if not module.isidentifier():
        return None
    if find_spec(f"{commands.__name__}.{module}"):
        command: DashboardCommand = import_module(f"{commands.__name__}.{module}").command
        command.name = module.replace("_", "-")
        return command
    for package in _REPORTS:
        if find_spec(f"{package.__name__}.{module}"):
            spec = spec_in(f"{package.__name__}.{module}")
            return command_of(spec) if spec else None
    return None


_REPORTS: Final = (reports, exchange_reports)
"""Where modules with a report lie."""

_WATCH: Final = click.Option(
    ["--watch", "every_s"],
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Show it again every SECONDS, until Ctrl-C.",
)
_ALL_HOSTS: Final = click.Option(
    ["--shared", "all_hosts"],
    is_flag=True,
    help="Everyone's calls on all hosts that share the budgets, from their database.",
)


def command_of(spec: Spec[Any, Any]) -> DashboardCommand:
    """Return the command that asks and shows a report."""

    def call(app: App, every_s: float | None = None, all_hosts: bool = False, **values: Any) -> int:
        question = spec.asked(values)

        def show() -> int:
            if all_hosts:
                from ...reports.hosts import of_all_hosts  # others have no hosts to tell of

                shared = app.shared_reader
                facts = spec.ask(shared, question)
                report = of_all_hosts(spec.report(facts), shared)
            else:
                facts = spec.ask(app.reader, question)
                report = spec.report(facts)
            app.show(report, last_day(facts))
            return exit_code_of(facts)

        return app.repeat(show, every_s)

    more = [*([_WATCH] if spec.watch else []), *([_ALL_HOSTS] if spec.shared else [])]
    return DashboardCommand(
        name=spec.name,
        section=spec.section,
        examples=spec.examples,
        help=spec.help,
        params=[*parameters(*spec.options), *more],
        callback=in_app(call, spec.prepares),
    )


_ORDER: Final = ("Look", "Budgets", "Save", "Record and share", "Keep in order")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """What your AI pipelines cost: by month, job and stage, against your budgets.

    Start with show-budget and show-monthly. Every command that shows figures takes --json.
    """


_TO_STDERR: Final = suppress(OSError)
"""Where a message cannot be written (a full disk), the exit code still tells: 1 would be bad news."""


def run(arguments: Sequence[str], called: str = "") -> int:
    """Run one command and return its exit code. Data goes to stdout, messages to stderr.

    ``called`` is how this program was called, where it was: messages call it in the same way.
    """
    settings = RunSettings(Invocation(_options_of, program_called(called)))
    try:
        code = cli.main(list(arguments) or ["--help"], prog_name=PROGRAM, standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except (BrokenPipeError, ReaderGone):
        _quieten_stdout()
        return FINE
    except click.ClickException as fault:
        with _TO_STDERR:
            fault.show()
        return fault.exit_code
    except (KeyboardInterrupt, click.Abort):
        with _TO_STDERR:
            print("interrupted", file=sys.stderr)  # noqa: T201  # the message of a command-line program
        return INTERRUPTED
    except Exception as fault:
        if settings.debug:
            raise
        return _explain(fault, settings.here)
    return code if isinstance(code, int) else FINE


_PACKAGES: Final = {
    "duckdb": "duckdb",
    "filelock": "filelock",
    "genai_prices": "genai-prices",
    "jinja2": "jinja2",
    "msgspec": "msgspec",
    "platformdirs": "platformdirs",
    "tabulate": "tabulate",
    "tqdm": "tqdm",
    "wcwidth": "wcwidth",
    "yaml": "pyyaml",
}
"""What commands import when they need it, and where it comes from."""


def _options_of(name: str) -> set[str] | None:
    """Return the options that a command takes, or ``None`` where there is no such command."""
    command = _command(name.replace("-", "_"))
    return {option for param in command.params for option in param.opts} if command else None


def _explain(fault: Exception, here: Invocation) -> int:
    """Print a failure as one line."""
    from ...formats.canvas import Canvas
    from ...formats.values import tame

    if isinstance(fault, CostError):
        text, code = str(fault), fault.exit_code
    elif isinstance(fault, OSError):
        text, code = str(fault), FAILED
    elif isinstance(fault, ModuleNotFoundError) and fault.name in _PACKAGES:
        package = _PACKAGES[fault.name]
        text = f"this needs the package {package}; install it with: {sys.executable} -m pip install {package}"
        code = FAILED
    else:
        text = f"unexpected {type(fault).__name__}: {fault}; run it again with --debug to see where"
        code = FAILED
    canvas = Canvas.of(sys.stderr, os.environ)
    lines = "\n".join(tame(line) for line in here.text(text).splitlines())
    with _TO_STDERR:
        print(canvas.fit(f"{PROGRAM}: {lines}"), file=sys.stderr)  # noqa: T201  # the message of a program
    return code


def _quieten_stdout() -> None:
    """The reader has gone (``| head``): that is not a failure, and leaving must not fail either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
