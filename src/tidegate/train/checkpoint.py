"""Checkpoints: one safetensors file with JSON in its header, written atomically and verified when read.

A checkpoint is one file, so its tensors and its JSON always belong to the same step. It contains no pickle. It is
written to a temporary file in the same folder, flushed to the disk, and renamed to replace the old one: if the process
is killed while it writes, the old checkpoint remains. A SHA-256 over the JSON and every tensor detects damage.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tidegate.errors import CheckpointError

FORMAT = "tidegate-1"


@dataclass(frozen=True)
class Checkpoint:
    """`tensors` by name, on the CPU when loaded, and `facts`, JSON values. Their content is documented
    in `tidegate.train.snapshot` and `tidegate.train.facts`."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint to `path` in one atomic step. Raises CheckpointError when the file cannot be written."""
    import safetensors.torch  # imported here, so that `import tidegate` does not load it

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    facts = json.dumps(checkpoint.facts, ensure_ascii=False)
    header = {"format": FORMAT, "facts": facts, "sha256": digest(tensors, facts)}
    write_atomically(path, safetensors.torch.save(tensors, header))


def load(path: Path) -> Checkpoint:
    """Read and verify the checkpoint at `path`. Raises CheckpointError when it is missing or damaged."""
    import safetensors

    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}: {remedy(path)}.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(damaged(path, str(error))) from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this version: expected format {FORMAT!r} in its header, "
                              f"got {header.get('format')!r}.")  # fmt: skip
    if digest(tensors, header.get("facts", "")) != header.get("sha256"):
        raise CheckpointError(damaged(path, "its SHA-256 does not match its content"))
    try:
        facts = json.loads(header["facts"])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(damaged(path, f"its facts are not JSON: {error}")) from error
    if not isinstance(facts, dict):
        raise CheckpointError(damaged(path, "its facts are not a JSON object"))
    return Checkpoint(tensors, facts)


def damaged(path: Path, reason: str) -> str:
    return f"the checkpoint {path} is damaged ({reason}): {remedy(path)}."


def remedy(path: Path) -> str:
    """What to do when the checkpoint at `path` cannot be used: use the run's other one, if it exists."""
    other = path.with_name("best.safetensors" if path.name == "last.safetensors" else "last.safetensors")
    if other == path or not other.is_file():
        return "its folder has no other checkpoint; train again"
    return f"{other.name} is in the same folder and can be used with --checkpoint {other.stem}"


def digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    """SHA-256 over the JSON text and, in the order of their names, each tensor's name, type, shape and bytes."""
    sha = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file `path` with `content` in one rename; on failure keep the old file and raise CheckpointError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        kept = f"; the earlier {path.name} is intact" if path.exists() else ""
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}{kept}. Free some space or choose "
                              "another --out.") from error  # fmt: skip
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Flush the rename to the disk, on systems where a folder can be opened."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
