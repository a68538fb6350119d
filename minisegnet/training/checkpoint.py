r"""Checkpoints (체크포인트): arrays and facts in one safetensors file that notices when it was damaged.

A safetensors file is plain: 8 bytes for the length of a header, the header as JSON (where each array lies, its
dtype and shape, and a place for texts of one's own), then the bytes of the arrays. It can't hold code, as a pickle
can; but it has no checksum either, and most damage would load in silence. So the header of a checkpoint begins with

.. code-block:: json

    {"__metadata__": {"format": "minisegnet 1", "digest": "64 hex digits", "facts": "JSON text"}}

The digest is the SHA-256 of the whole file, taken while the 64 digits were zeros. One changed bit anywhere, in the
header, in the data or in the digest itself, and they disagree.
"""

import hashlib
import json
import math
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.files import write_atomically
from minisegnet.ops import to_numpy

VERSION = 1
BLANK = b"0" * 64
# No quotation mark inside a JSON text is bare, so neither facts nor names of arrays can look like these.
DIGEST = re.compile(rb'"digest":"([0-9a-f]{64})"')
FORMAT = re.compile(r"minisegnet (\d{1,9})")

DTYPES = tuple(
    "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool complex64".split()
)


class CheckpointError(ValueError):
    """A checkpoint can't be loaded; the message names the file, what is wrong with it and what to do."""


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""

    arrays: dict[str, Array]  # in the order in which they were saved
    facts: dict[str, Any]  # whatever JSON can say


# ---------------------------------------------------------------------------------------------------------
# Saving


def save(path: Path | str, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. The same arrays and facts always give the same bytes.

    Parameters
    ----------
    path
        The file, commonly named ``*.safetensors``. Any safetensors reader can read it.
    arrays
        Arrays by name, of any memory layout and size; those on the GPU are copied over. Dtypes: floats (up to 64
        bits), integers, bool, complex64.
    facts
        What else there is to know, by name: texts, finite numbers, booleans, None, and lists and dictionaries of
        them. Tuples come back as lists, and dictionaries sorted by their keys.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder, "x.safetensors"), {"w": np.ones((2, 3))}, {"step": 7})
    ...     arrays, facts = load(Path(folder, "x.safetensors"))
    >>> arrays["w"].shape, facts
    ((2, 3), {'step': 7})
    """
    write_atomically(path, _encode(arrays, facts))


def _encode(arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> bytes:
    plain = {_name(name): _contiguous(name, array) for name, array in arrays.items()}
    written = safetensors.numpy.save(plain)
    start = 8 + int.from_bytes(written[:8], "little")
    places = json.loads(written[8:start])
    data = memoryview(written)[start:]
    # The package writes metadata in no fixed order, so the header is made anew: ours, in the order of the arrays.
    metadata = {"format": f"minisegnet {VERSION}", "digest": BLANK.decode(), "facts": _json(facts)}
    header = _compact({"__metadata__": metadata} | {name: places[name] for name in plain}).encode("ascii")
    header += b" " * (-len(header) % 8)  # so that the data begins at a multiple of 8
    blank = len(header).to_bytes(8, "little") + header
    digest = _digest(blank, data)
    return b"".join(
        [blank.replace(BLANK, digest, 1), data]
    )  # the first 64 zeros: the digest comes before facts


def _digest(*parts: bytes | memoryview) -> bytes:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest().encode("ascii")


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"an array's name is {name!r}; expected a text")
    if name == "__metadata__" or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError(f"no array can have the name {name!r} in a safetensors file; choose another")
    return name


def _contiguous(name: str, array: Any) -> Array:
    """Return a plain NumPy array in C order: the package's NumPy writer garbles any other layout."""
    if isinstance(array, Tensor) or not hasattr(array, "dtype") or not hasattr(array, "shape"):
        raise TypeError(
            f"the array {name!r} is a {type(array).__name__}; expected an array (of a Tensor: .data)"
        )
    plain = to_numpy(array)
    if plain.dtype.name not in DTYPES:
        raise TypeError(f"the array {name!r} has dtype {plain.dtype}; expected one of: {', '.join(DTYPES)}")
    return np.asarray(
        plain, dtype=plain.dtype.newbyteorder("="), order="C"
    )  # ascontiguousarray has no 0-d arrays


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _json(facts: Mapping[str, Any]) -> str:
    for place, value in _leaves(dict(facts), "facts"):
        if value is not None and not isinstance(value, str | int | float):
            raise TypeError(
                f"{place} is a {type(value).__name__}; expected what JSON can hold: texts, numbers, "
                "booleans, None, lists, dictionaries (of a NumPy number: .item())"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{place} is {value}, which JSON can't hold; expected a finite number or None")
    return json.dumps(dict(facts), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield everything in nested dictionaries and lists that is neither, with the words that name its place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{place} has the key {key!r}; expected texts as keys, as in JSON")
            yield from _leaves(inner, f"{place}[{key!r}]")
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{i}]")
    else:
        yield place, value


# ---------------------------------------------------------------------------------------------------------
# Loading


def load(path: Path | str) -> Checkpoint:
    """Read a checkpoint. The digest is verified before anything in the file is believed.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Checkpoint
        ``arrays, facts``: fresh arrays that can be written to, in the order in which they were saved.

    Raises
    ------
    CheckpointError
        There is no such file, it is no checkpoint, was cut short or damaged, or a newer version wrote it.
    """
    data = _read(Path(path))
    _verify(data, path)
    try:
        return _parse(data, path)
    except CheckpointError:
        raise
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} has a digest that fits, but can't be read ({error}); it was not written by minisegnet"
        ) from error


def _read(path: Path) -> bytes:
    if "\0" in str(path):
        raise CheckpointError(f"{str(path)!r} can't be the name of a file: it holds a null character")
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise CheckpointError(
                f"{path} is a folder; expected a checkpoint file, such as {path / 'best.safetensors'}"
            )
        if not stat.S_ISREG(mode):
            raise CheckpointError(f"{path} is a device or a pipe; expected a checkpoint file")
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: there is no such file; expected a checkpoint, such as runs/NAME/best.safetensors"
        ) from None
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it doesn't fit into memory"
        raise CheckpointError(f"{path} can't be read: {reason}; is it a checkpoint of yours?") from error


def _verify(data: bytes, path: Path | str) -> None:
    """Raise a CheckpointError unless these bytes, read from ``path``, are exactly those that were saved."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = data[8:start]
    found = list(DIGEST.finditer(header))
    if len(data) < start or len(found) != 1:
        raise CheckpointError(_complaint(data, path))
    first, last = 8 + found[0].start(1), 8 + found[0].end(1)
    whole = memoryview(data)
    if _digest(whole[:first], BLANK, whole[last:]) != found[0][1]:
        raise CheckpointError(_complaint(data, path))


def _parse(data: bytes, path: Path | str) -> Checkpoint:
    """Take verified bytes apart."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.pop("__metadata__")
    version = FORMAT.fullmatch(metadata.get("format", ""))
    if version is None:
        raise CheckpointError(f"{path} was written by another program; expected a checkpoint of minisegnet")
    if int(version[1]) != VERSION:
        raise CheckpointError(
            f"{path} was written by a newer minisegnet (format {version[1]}; this one reads format {VERSION}); "
            "update minisegnet"
        )
    facts = json.loads(metadata["facts"])
    if not isinstance(facts, dict):
        raise TypeError("its facts are no dictionary")
    arrays = safetensors.numpy.load(data)  # in no fixed order
    return Checkpoint({name: _writable(arrays[name]) for name in header}, facts)


def _writable(array: Array) -> Array:
    return array if array.flags.writeable else array.copy()


# ---------------------------------------------------------------------------------------------------------
# What is wrong with a file. Nothing here is believed: it only chooses words.


def _complaint(data: bytes, path: Path | str) -> str:
    """Say in one sentence why these bytes aren't a checkpoint."""
    if not data:
        return f"{path} is empty; expected a checkpoint of minisegnet"
    start = 8 + int.from_bytes(data[:8], "little")
    beginning = data[8:1024]
    if any(mark in beginning for mark in (b'"format":"minisegnet ', b'"digest":"', b'"facts":"')):
        ends = re.findall(rb'"data_offsets":\[\d{1,18},(\d{1,18})\]', data[8:start])
        expected = start + max(map(int, ends), default=0)
        what_to_do = "copy it again from where it came, or take another one (a run keeps best and last)"
        if len(data) < expected < 2**50:
            return f"{path} is cut short: {len(data)} of {expected} bytes are there; {what_to_do}"
        return f"{path} is damaged: its bytes don't fit its digest; {what_to_do}"
    foreign = "expected a checkpoint of minisegnet, such as runs/NAME/best.safetensors"
    if data.startswith((b"\x80", b"PK\x03\x04")):
        return f"{path} is a pickle or a zip file (of PyTorch or NumPy, say), and those are never opened; {foreign}"
    if beginning.startswith(b"{") and b'"data_offsets"' in data[8:start]:
        return f"{path} is a safetensors file that another program wrote; {foreign}"
    return f"{path} is no checkpoint of minisegnet, or little is left of it; {foreign}"
