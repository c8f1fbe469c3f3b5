"""Numeric options. The error message for a value that is not a number repeats the value."""

from typing import Any

import typer


def integer_option(help: str, **options: Any) -> Any:
    """An option of the command line that is an integer."""
    return typer.Option(help=help, parser=integer, metavar="INTEGER", **options)


def number_option(help: str, **options: Any) -> Any:
    """An option of the command line that is a number."""
    return typer.Option(help=help, parser=number, metavar="NUMBER", **options)


def integer(value: str | int) -> int:
    try:
        return int(value)
    except ValueError:
        raise typer.BadParameter(f"expected an integer such as 64, got {value!r}.") from None


def number(value: str | float) -> float:
    try:
        return float(value)
    except ValueError:
        raise typer.BadParameter(f"expected a number such as 0.1 or 2e-3, got {value!r}.") from None


def integers(value: str) -> tuple[int, ...]:
    """Integers between commas."""
    return tuple(integer(part) for part in value.split(","))


def bounds(value: str) -> tuple[int, int]:
    """START:STOP."""
    start, colon, stop = value.partition(":")
    if not colon:
        raise typer.BadParameter(f"expected START:STOP such as 1000:1600, got {value!r}.")
    return integer(start), integer(stop)
