"""A command of docs/findings.md made small: the same options, with little to compute."""

from collections.abc import Sequence

DROPPED = ("--seeds", "--steps", "--rates", "--hidden", "--batch")


def smaller(arguments: Sequence[str]) -> list[str]:
    """The first two cells, the first two values of what is varied, a small text, and --quick."""
    found = []
    for option, value in zip(arguments[::2], arguments[1::2], strict=True):
        if option in DROPPED:
            continue
        if option == "--cells":
            value = ",".join(value.split(",")[:2])
        elif option == "--vary":
            name, _, values = value.partition("=")
            value = f"{name}={','.join(values.split(',')[:2])}"
        found += [option, value.replace("text:time-machine", "text:README.md")]
    return [*found, "--quick"]
