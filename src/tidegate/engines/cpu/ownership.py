"""Folders and files that no other user can change: compiled code is executed, so it is read only from these.

On Windows there are no owners and modes of this kind, and nothing is checked: the default folder lies in the user's
profile, which other users cannot write, and TIDEGATE_CACHE must name such a folder too.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

ADMINISTRATOR = 0
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
#: Symbolic links that are followed in one path, as many as Linux follows.
LINKS = 40


def own_folder(path: Path, *, create: bool = False) -> Path:
    """The folder at `path`, with every symbolic link resolved; with `create`, missing folders are made with mode 0700.

    PermissionError where another user could change it or put another in its place. The folder must belong to this user
    or to root. So must every folder and link on the way to it; folders that belong to the owner of `/` are accepted
    there too, because inside a user namespace root may appear as another user. None of them may be writable by group
    or others, except that a folder on the way may have the sticky bit, as /tmp has, under which nobody can rename what
    belongs to someone else. Each is examined after the one that contains it, so that none can be exchanged after it was
    examined.
    """
    if not hasattr(os, "geteuid"):
        if create:
            path.mkdir(parents=True, exist_ok=True)
        return path
    path = path.absolute()
    at, rest, links = Path(path.anchor), [*reversed(path.parts)], 0
    while rest:
        name = rest.pop()
        if name == "..":
            at = at.parent
            continue
        here = at / name
        try:
            status = os.lstat(here)
        except FileNotFoundError:
            if not create:
                raise
            with suppress(FileExistsError):  # made by another process meanwhile
                os.mkdir(here, 0o700)
            status = os.lstat(here)
        if stat.S_ISLNK(status.st_mode):
            _check_owner(here, status, os.lstat("/").st_uid)
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            rest += reversed(Path(os.readlink(here)).parts)
        else:
            at = here
            _check(here, status, on_the_way=bool(rest))
    return at


def read_own_file(path: Path) -> bytes:
    """What the regular file at `path` holds; PermissionError where another user could have written it, OSError where it
    is a symbolic link. Owner and mode are those of the opened file, even if the path has been replaced since."""
    nonblocking = getattr(os, "O_NONBLOCK", 0)  # opening a named pipe must not wait for a writer
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | nonblocking)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError(f"{path} is not a regular file")
        if hasattr(os, "geteuid"):
            _check_owner(path, status)
            _check_mode(path, status)
        return file.read()


def _check(path: Path, status: os.stat_result, *, on_the_way: bool) -> None:
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if on_the_way:
        _check_owner(path, status, os.lstat("/").st_uid)
        if not status.st_mode & stat.S_ISVTX:
            _check_mode(path, status)
    else:
        _check_owner(path, status)
        _check_mode(path, status)


def _check_owner(path: Path, status: os.stat_result, *accepted: int) -> None:
    if status.st_uid not in (ADMINISTRATOR, os.geteuid(), *accepted):
        raise PermissionError(f"{path} belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}")


def _check_mode(path: Path, status: os.stat_result) -> None:
    if status.st_mode & WRITABLE_BY_OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise PermissionError(f"other users can write {path} (mode {mode:04o}; `chmod go-w {path}` revokes that)")
