"""The command `tidegate` with its verbs; errors are printed as one message, without a traceback."""

import errno
import io
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from tidegate.cli.compare import compare
from tidegate.cli.data import data
from tidegate.cli.derive import derive
from tidegate.cli.eval import evaluate
from tidegate.cli.inspect import inspect
from tidegate.cli.kernels import kernels
from tidegate.cli.messages import as_typed
from tidegate.cli.sample import sample
from tidegate.cli.train import train
from tidegate.cli.verify import verify
from tidegate.errors import DivergenceError, TidegateError

app = typer.Typer(
    name="tidegate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, verb in (
    ("train", train), ("eval", evaluate), ("sample", sample), ("inspect", inspect), ("compare", compare),
    ("verify", verify), ("derive", derive), ("data", data), ("kernels", kernels),
):  # fmt: skip
    # The first line of its docstring: without `short_help` the list of commands would cut it at 45 characters.
    app.command(name, short_help=(verb.__doc__ or "").partition("\n")[0])(verb)


def show_version(wanted: bool) -> None:
    if wanted:
        from tidegate import __version__

        typer.echo(f"tidegate {__version__}")
        raise typer.Exit


@app.callback()
def describe(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Gated recurrent networks: train one on your text, evaluate it, sample from it.

    Begin with `tidegate train builtin`, or name a text file of your own.
    Exit codes: 0 done, 1 a verification or a job of a comparison failed, 2 refused (the message says why),
    3 training diverged, 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows ? instead of failing
    try:
        app(arguments)
    except TidegateError as error:
        refuse(as_typed(str(error), parameters(arguments)), 3 if isinstance(error, DivergenceError) else 2)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):  # torch's out-of-memory error
            raise
        refuse("this needs more memory than is available. Try a smaller --hidden, --batch, --steps or text.", 2)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO):
            raise
        refuse(f"the output cannot be written: {error.strerror}.", 2)


def parameters(arguments: Sequence[str]) -> dict[str, str]:
    """The options and arguments of the verb that was called, as a user types them, by their names in Python."""
    verbs = typer.main.get_group(app).commands
    found = next((verbs[word].params for word in arguments if word in verbs), [])
    return {p.name: max(p.opts, key=len) if p.param_type_name == "option" else p.name.upper() for p in found if p.name}


def refuse(message: str, code: int) -> NoReturn:
    """Print the message of an error and exit."""
    typer.echo(f"error: {message}", err=True)
    sys.exit(code)
