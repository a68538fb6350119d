"""Write a file (or a folder) whole or not at all, so that a killed process or a full disk never leaves half of one.

The new content goes into a temporary file beside the old one. Only when it has reached the disk does it take the
old one's name, which the system does in one go: whoever reads finds the old content or the new, never a mixture.
A process that is killed in between leaves its temporary file behind; ``sweep`` clears those away.
"""

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp", re.DOTALL)  # .{name}.{random}.tmp

# A folder can't be flushed everywhere: some network drives refuse, and it takes the right to read the folder.
CANNOT_FLUSH = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EACCES, errno.EPERM}


def write_atomically(path: Path | str, data: bytes | str) -> None:
    """Write a whole file; when this fails, for whatever reason, the old one is as it was.

    Parameters
    ----------
    path
        The file, new or old; its folder must exist. An old file keeps its permissions. A link is followed.
    data
        All of its content. Text is written as UTF-8, with its line ends as they are.

    Raises
    ------
    OSError
        It couldn't be written (the disk is full, say); the error names the path.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "note.txt"), "old")
    ...     write_atomically(Path(folder, "note.txt"), "new")
    ...     Path(folder, "note.txt").read_text(), len(os.listdir(folder))
    ('new', 1)
    """
    if not isinstance(data, bytes | str):
        raise TypeError(f"write_atomically: data is a {type(data).__name__}; expected bytes or text")
    content = data.encode("utf-8") if isinstance(data, str) else data
    with written_atomically(path) as file:
        file.write(content)


@contextmanager
def written_atomically(path: Path | str) -> Iterator[BinaryIO]:
    """Open a new file to be written bit by bit, in any order; it takes its name when the block ends without an error.

    For what is too large to stand in memory; else :func:`write_atomically`, which says more.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_atomically(Path(folder, "numbers.bin")) as file:
    ...         _ = file.write(b"12345"), file.seek(1), file.write(b"x")
    ...         before = Path(folder, "numbers.bin").exists()
    ...     before, Path(folder, "numbers.bin").read_bytes()
    (False, b'1x345')
    """
    target = Path(os.path.realpath(path))
    try:
        with _replacing(target) as file:
            yield file
    except OSError as error:
        if not _is_about(error.filename, target):
            raise  # it is about another file that was used in the block
        reason = f"{error.strerror or error}; could not write the file, nothing was changed"
        raise OSError(error.errno, reason, str(path)) from error
    _flush_folder(target.parent)


def _is_about(filename: object, target: Path) -> bool:
    """Say whether an error's file is the one that is written, or its temporary one; errors of a write name none."""
    return filename in (None, str(target)) or TEMPORARY.fullmatch(os.path.basename(str(filename))) is not None


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    # O_EXCL: never write into a file that is there. With mode 0o666 the system takes the umask off, as for any file.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # on the disk before the name is
        _keep_permissions(target, temporary)
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C too
        with suppress(OSError):
            temporary.unlink()
        raise


def _keep_permissions(old: Path, new: Path) -> None:
    with suppress(FileNotFoundError):  # there is no old file
        mode = stat.S_IMODE(old.stat().st_mode)
        if mode != stat.S_IMODE(new.stat().st_mode):
            new.chmod(mode)


def _flush_folder(folder: Path) -> None:
    """Bring the folder's list of names to the disk; until then a power cut may bring the old file back."""
    if os.name == "nt":  # Windows can't open folders, and doesn't need this
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            reason = f"{error.strerror or error}; the file is written, but a power cut may undo it"
            raise OSError(error.errno, reason, str(folder)) from error


def write_folder(folder: Path | str, content: Mapping[str, bytes | str]) -> Path:
    """Write a new folder of files, whole or not at all: nobody ever sees a part of it.

    Where anything of that name is there already, the new one becomes ``folder-2``, ``folder-3`` …. Nothing is
    overwritten.

    Parameters
    ----------
    folder
        The folder; those above it are made where they are missing.
    content
        The content of each file, by its name. Text is written as UTF-8.

    Returns
    -------
    Path
        The folder that was written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     [write_folder(Path(parent, "out"), {"note.txt": "new"}).name for _ in range(2)], sorted(os.listdir(parent))
    (['out', 'out-2'], ['out', 'out-2'])
    """
    wanted = Path(os.path.abspath(folder))  # "." and ".." have no name
    if not wanted.name:
        raise ValueError(f"a new folder can't be {folder}; expected a name, such as {Path(folder, 'report')}")
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(
            f"{folder} can't be made: {wanted.parent} is no folder; choose another place"
        ) from None
    temporary = wanted.with_name(f".{wanted.name}.{secrets.token_hex(8)}.tmp")
    temporary.mkdir()
    try:
        for name, data in content.items():
            write_atomically(temporary / name, data)
        written = _take_name(temporary, wanted)
    except BaseException:  # Ctrl-C too
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _flush_folder(wanted.parent)
    given = Path(folder)
    return given.with_name(written.name) if given.name not in ("", "..") else written


def _take_name(temporary: Path, wanted: Path) -> Path:
    """Give a folder the first name that is free."""
    for number in count(1):
        target = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            target.mkdir()  # fails where anything of that name exists, also for the slower of two that come at once
        except FileExistsError:
            continue
        try:
            if os.name == "nt":  # elsewhere a folder takes the place of an empty one in one go
                target.rmdir()
            temporary.rename(target)
        except BaseException:
            with suppress(OSError):
                target.rmdir()
            raise
        return target
    raise AssertionError("unreachable")


def sweep(folder: Path | str) -> list[Path]:
    """Remove the temporary files that killed processes left in a folder, and nothing else.

    Call it where no other process is writing: a temporary file in use looks the same.

    Returns
    -------
    list of Path
        What was removed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("best.safetensors", ".best.safetensors.0123456789abcdef.tmp"):
    ...         Path(folder, name).touch()
    ...     [path.name for path in sweep(folder)], os.listdir(folder)
    (['.best.safetensors.0123456789abcdef.tmp'], ['best.safetensors'])
    """
    removed = []
    for path in sorted(Path(folder).iterdir()):
        if TEMPORARY.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed
