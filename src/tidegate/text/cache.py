"""Where fetched texts and tokens are kept."""

import os
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

import platformdirs

VARIABLE = "TIDEGATE_CACHE"


def cache_folder(name: str) -> Path:
    """The folder `name` under $TIDEGATE_CACHE, or under `tidegate` in the user's cache folder (~/.cache on Linux)."""
    chosen = os.environ.get(VARIABLE)
    return (Path(chosen) if chosen else platformdirs.user_cache_path("tidegate", appauthor=False)) / name


def temporary_file() -> BinaryIO:
    """An empty file without a name, which the system removes when the process ends. It is in the cache folder, because
    the folder for temporary files may be in memory; in the latter only where the former cannot be written."""
    folder = cache_folder("tokens")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))
    except OSError:
        return cast(BinaryIO, tempfile.TemporaryFile())
