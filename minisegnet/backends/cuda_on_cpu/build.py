"""Compiles text for the CPU with g++ into a shared library, once: libraries are kept, by the hash of all that matters.

They lie in the user's cache folder: ``$XDG_CACHE_HOME/minisegnet`` or ``~/.cache/minisegnet``; where that can't be
written, in a folder for temporary files that only this user can write.
"""

import ctypes
import hashlib
import os
import platform
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
HEADERS = ("fibers.h", "words.h")

# Fused multiply-adds are off, so that a result does not depend on the processor. Warnings are errors nowhere but in
# tests: a learner's half-done kernel must run.
FLAGS = ("-x", "c++", "-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-w")


def compiler() -> str | None:
    """Return the path of g++, or of what the environment variable CXX names; None if there is none."""
    return shutil.which(os.environ.get("CXX") or "g++")


def why_not() -> str | None:
    """Say why CUDA sources can't be built for the CPU here; None if they can."""
    if sys.platform != "linux":
        return "the CUDA kernels run on the CPU only under Linux; use numba or numpy"
    if compiler() is None:
        return (
            "running CUDA kernels on the CPU needs the compiler g++, and there is none; install it "
            "(Debian, Ubuntu: apt install g++), or name another by the environment variable CXX"
        )
    return None


def library(text: str, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compile a C++ text into a shared library, or find it in the cache, and load it."""
    reason = why_not()
    if reason:
        raise RuntimeError(reason)
    command = [str(compiler()), *FLAGS, *flags, "-I", str(FOLDER)]
    path = cache_folder() / f"{_fingerprint(text, command)}.so"
    if not path.exists():
        _compile(text, command, path)
    return ctypes.CDLL(str(path))


def _fingerprint(text: str, command: list[str]) -> str:
    """Hash all that the library depends on."""
    parts = [text, *((FOLDER / name).read_text(encoding="utf-8") for name in HEADERS), *command]
    parts += [_version(command[0]), platform.machine()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@cache
def _version(compiler: str) -> str:
    asked = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return asked.stdout.partition("\n")[0]


def _compile(text: str, command: list[str], path: Path) -> None:
    """Compile beside the cache's file and give it its name at the end, so that no other process sees half of it."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        made = subprocess.run(
            [*command, "-", "-o", str(unfinished)], input=text, text=True, capture_output=True, check=False
        )
        if made.returncode:
            raise RuntimeError(f"g++ can't compile the CUDA source:\n{made.stderr}")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@cache
def cache_folder() -> Path:
    """Return the folder of compiled libraries, made where it was missing."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    for folder in (
        Path(home) / "minisegnet" / "cuda-on-cpu",
        Path(tempfile.gettempdir()) / f"minisegnet-cuda-on-cpu-{os.getuid()}",
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if _is_mine(folder):
            return folder
    return Path(tempfile.mkdtemp(prefix="minisegnet-cuda-on-cpu-"))


def _is_mine(folder: Path) -> bool:
    """Whether only this user can put libraries there: they are loaded and run."""
    status = folder.stat()
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid == os.getuid() and not others_write and os.access(folder, os.W_OK)
