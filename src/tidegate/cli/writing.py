"""Writing the text of a command to a file that the user names."""

from pathlib import Path

from tidegate.errors import ArgumentError


def write_text(out: Path, text: str) -> None:
    """Write the text. Raises ArgumentError where the file cannot be opened; a full disk is an OSError as elsewhere."""
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        if error.filename is None:
            raise
        raise ArgumentError(f"`out` must be a file that can be written, got {out}: {error.strerror}.") from error
