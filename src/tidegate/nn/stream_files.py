"""The states of a stream in a file: safetensors, with a description of what they belong to in its header.

It holds no weights and no code. It is written under another name and then renamed, so it is never incomplete.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from tidegate.calculus import serial
from tidegate.errors import CheckpointError
from tidegate.nn.stream_parts import LayerPart

FORMAT = "tidegate-stream-1"


def description(layers: tuple[LayerPart, ...]) -> str:
    """The equations of the layers: their names, and a SHA-256 of all of them."""
    digest = hashlib.sha256("\n".join(serial.dumps(part.step) for part in layers).encode()).hexdigest()
    return f"{', '.join(part.step.name for part in layers)} {digest}"


def write(path: Path, layers: tuple[LayerPart, ...], arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays; CheckpointError if that is impossible."""
    import safetensors.numpy  # imported here, so that `import tidegate` does not load it

    content = safetensors.numpy.save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        {"format": FORMAT, "equations": description(layers)},
    )
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise CheckpointError(f"the state cannot be written to {path}: {error.strerror}.") from error


def read(path: Path, layers: tuple[LayerPart, ...], expected: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a file, checked to be those of these layers, with the names, shapes and dtypes of `expected`."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as the state of a stream: {error}.") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not the state of a stream: expected format {FORMAT!r} in its header, got "
            f"{header.get('format')!r}. Use a file that Stream.save wrote."
        )
    if header.get("equations") != description(layers):
        ours, theirs = (text.rpartition(" ")[0] for text in (description(layers), header.get("equations", "")))
        raise CheckpointError(
            f"{path} is the state of other equations: expected {ours}, got {theirs}. Use a stream of the same model."
        )
    for name in sorted(expected.keys() | arrays.keys()):
        want, got = (
            f"{of[name].dtype.name} {of[name].shape}" if name in of else "no such state" for of in (expected, arrays)
        )
        if want != got:
            raise CheckpointError(
                f"{path} is the state of another stream: {name} must be {want}, got {got}. "
                "Use the same model, batch and dtype."
            )
    return arrays
