"""Checkpoints come back exactly, or not at all and with one clear error; no kill and no full disk spoils one."""

import errno
import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from op_table import examples

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.files import TEMPORARY, sweep
from minisegnet.training import checkpoint
from minisegnet.training.checkpoint import Checkpoint, CheckpointError, load, save

needs_posix = pytest.mark.skipif(os.name == "nt", reason="kill -9 and file size limits are POSIX's")

FACTS: dict[str, Any] = {
    "step": 1200,
    "class_names": ["background", "세포, 막"],
    "palette": [[0, 0, 0], [230, 159, 0]],
    "normalisation": {"mean": [0.5], "std": [0.25]},
    "best_miou": None,
    "lr": 0.003,
    "done": False,
}


def some_arrays() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {
        "model.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "model.bias": rng.standard_normal(4),
        "optimizer.step": np.array(7, np.int64),
        "mask": rng.integers(0, 2, (5,)).astype(bool),
        "bytes": rng.integers(0, 256, (3, 5), dtype=np.uint8),
        "nothing": np.zeros((0, 3), np.float32),
        "empty name follows": np.zeros(1),
        "": np.full((1, 1), -0.0),
    }


def assert_same(found: dict[str, Array], expected: dict[str, Array]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        assert found[name].tobytes() == np.asarray(array).tobytes(), name  # bits: NaNs and signs of zeros too


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------------------------------------------------
# There and back

dtypes = st.sampled_from(checkpoint.DTYPES).map(np.dtype)
shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
array_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda name: name != "__metadata__"
)
some_array = npst.arrays(dtypes, shapes)


@settings(max_examples=examples(150))
@given(
    st.dictionaries(array_names, some_array, max_size=5), st.dictionaries(st.text(), json_values, max_size=4)
)
def test_arrays_and_facts_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Array], facts: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("run") / "a.safetensors"
    save(path, arrays, facts)
    found = load(path)
    assert_same(found.arrays, arrays)
    assert repr(found.facts) == repr(json.loads(json.dumps(facts, sort_keys=True)))
    for name, array in safetensors.numpy.load_file(path).items():  # and any other reader agrees
        assert array.tobytes() == arrays[name].tobytes() and array.shape == arrays[name].shape


def test_the_result_is_a_pair_of_fresh_arrays_and_facts(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save(str(path), some_arrays(), FACTS)
    arrays, facts = found = load(str(path))
    assert isinstance(found, Checkpoint) and facts == FACTS
    assert_same(arrays, some_arrays())
    for array in arrays.values():
        array[...] = 0  # they can be written to
    assert_same(load(path).arrays, some_arrays())


@pytest.mark.parametrize(
    ("layout", "array"),
    [
        ("transposed", np.arange(12.0).reshape(3, 4).T),
        ("Fortran", np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))),
        ("every second", np.arange(20)[::2]),
        ("backwards", np.arange(24.0).reshape(2, 3, 4)[::-1, :, ::-1]),
        ("broadcast", np.broadcast_to(np.arange(3.0), (4, 3))),
        ("a column", np.arange(12, dtype=np.uint8).reshape(3, 4)[:, 1]),
        ("0-d of a larger one", np.arange(3.0)[1, ...]),
        ("unaligned", np.frombuffer(b"x" + np.arange(3.0).tobytes(), np.uint8)[1:].view(np.float64)),
        ("a subclass", np.arange(4.0).reshape(2, 2).view(np.matrix)),
    ],
)
def test_any_memory_layout(tmp_path: Path, layout: str, array: Array) -> None:
    array.flags.writeable = False
    save(tmp_path / "a", {"before": np.ones(3), "x": array, "after": np.ones(3)}, {})
    found = load(tmp_path / "a").arrays
    np.testing.assert_array_equal(found["x"], array)
    assert found["x"].dtype == array.dtype and found["x"].shape == array.shape
    assert found["before"].tolist() == found["after"].tolist() == [1, 1, 1]


def test_foreign_byte_order_comes_back_native(tmp_path: Path) -> None:
    save(tmp_path / "a", {"x": np.arange(5, dtype=">f4"), "y": np.array(3, dtype=">i8")}, {})
    found = load(tmp_path / "a").arrays
    assert found["x"].dtype == np.float32 and found["x"].tolist() == [0, 1, 2, 3, 4] and found["y"] == 3


def test_arrays_on_the_gpu_are_brought_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Distant:
        dtype, shape = np.dtype(np.float32), (2,)

    monkeypatch.setattr(checkpoint, "to_numpy", lambda array: np.array([1, 2], np.float32))
    save(tmp_path / "a", {"x": Distant()}, {})  # type: ignore[dict-item]
    assert load(tmp_path / "a").arrays["x"].tolist() == [1, 2]


SAVE = """
import sys
import numpy as np
from minisegnet.training.checkpoint import save
save(sys.argv[1], {n: np.arange(i, dtype=np.float32) for i, n in enumerate("zyxab")}, {"b": 1, "a": {"d": 2, "c": 3}})
"""


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    for i in range(3):
        subprocess.run([sys.executable, "-c", SAVE, str(tmp_path / f"{i}")], check=True)
    arrays = {name: np.arange(i, dtype=np.float32) for i, name in enumerate("zyxab")}
    for i in range(8):
        save(tmp_path / f"again {i}", arrays, {"a": {"c": 3, "d": 2}, "b": 1})
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_the_file_is_as_described(tmp_path: Path) -> None:
    """The format in twenty lines, as another program would read it."""
    path = tmp_path / "a.safetensors"
    save(path, some_arrays(), FACTS)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata = header.pop("__metadata__")
    assert start % 8 == 0 and list(header) == list(some_arrays())
    assert list(metadata) == ["format", "digest", "facts"] and metadata["format"] == "minisegnet 1"
    assert json.loads(metadata["facts"]) == FACTS
    blank = data.replace(metadata["digest"].encode(), b"0" * 64)
    assert len(blank) == len(data) and hashlib.sha256(blank).hexdigest() == metadata["digest"]
    with safetensors.safe_open(path, framework="np") as file:
        assert file.metadata() == metadata
    found = safetensors.numpy.load_file(path)
    assert_same({name: found[name] for name in header}, some_arrays())


# ---------------------------------------------------------------------------------------------------------
# What can't be saved


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ({"a": {"b": [1, {2}]}}, TypeError, r"facts\['a'\]\['b'\]\[1\] is a set"),
        ({"x": np.zeros(3)}, TypeError, r"facts\['x'\] is a ndarray"),
        ({"x": np.float32(1)}, TypeError, r"facts\['x'\] is a float32; .*\.item\(\)"),
        ({"x": b"bytes"}, TypeError, r"facts\['x'\] is a bytes"),
        ({"x": Path("a")}, TypeError, r"facts\['x'\] is a \w*Path;"),
        ({"x": {1: 2}}, TypeError, r"facts\['x'\] has the key 1; expected texts"),
        ({3: 4}, TypeError, r"facts has the key 3; expected texts"),
        ({"x": MappingProxyType({"a": 1})}, TypeError, r"facts\['x'\] is a mappingproxy"),
        ({"x": (0.5, math.nan)}, ValueError, r"facts\['x'\]\[1\] is nan, which JSON can't hold"),
        ({"x": -math.inf}, ValueError, r"facts\['x'\] is -inf, which JSON can't hold"),
    ],
)
def test_facts_that_json_cannot_hold(
    tmp_path: Path, facts: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        save(tmp_path / "a", {}, facts)
    assert names(tmp_path) == []


def test_tuples_and_other_mappings_are_facts(tmp_path: Path) -> None:
    facts = MappingProxyType(
        {"size": (3, (4,)), "nested": OrderedDict(a=np.float64(0.5)), "text": '\ud800\0\n"'}
    )
    save(tmp_path / "a", {}, facts)
    assert load(tmp_path / "a").facts == {"size": [3, [4]], "nested": {"a": 0.5}, "text": '\ud800\0\n"'}


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"x": [1, 2]}, TypeError, "the array 'x' is a list; expected an array"),
        ({"x": 1.5}, TypeError, "the array 'x' is a float; expected an array"),
        ({"x": Tensor(np.zeros(3))}, TypeError, "the array 'x' "),
        ({"x": np.array(["a"])}, TypeError, "the array 'x' has dtype <U1; expected one of: float64, "),
        ({"x": np.array([{}])}, TypeError, "the array 'x' has dtype object"),
        ({"x": np.zeros(2, complex)}, TypeError, "the array 'x' has dtype complex128"),
        ({3: np.zeros(2)}, TypeError, "an array's name is 3; expected a text"),
        ({"__metadata__": np.zeros(2)}, ValueError, "no array can have the name '__metadata__'"),
        ({"\udc80": np.zeros(2)}, ValueError, "no array can have the name"),
    ],
)
def test_arrays_that_cannot_be_saved(
    tmp_path: Path, arrays: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        save(tmp_path / "a", arrays, {})
    assert names(tmp_path) == []


# ---------------------------------------------------------------------------------------------------------
# Damage


def complaint(path: Path) -> str:
    with pytest.raises(CheckpointError) as e:
        load(path)
    assert str(path) in str(e.value) and "\n" not in str(e.value)
    return str(e.value)


def signed(header: dict[str, Any] | bytes, data: bytes = b"") -> bytes:
    """Make a file whose digest fits, whatever else is wrong with it."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    blank = len(text).to_bytes(8, "little") + text + data
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no such file" in complaint(tmp_path / "a.safetensors")
    assert "is a folder; expected a checkpoint file" in complaint(tmp_path)
    (tmp_path / "file").touch()
    assert "is empty" in complaint(tmp_path / "file")
    assert "can't be read" in complaint(tmp_path / "file" / "deeper")
    with pytest.raises(CheckpointError, match="null character"):
        load("a\0b")


@needs_posix
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is a device or a pipe" in complaint(tmp_path / "pipe")


PICKLE = b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PICKLE, "is a pickle or a zip file"),
        (b"PK\x03\x04" + b"\0" * 100, "is a pickle or a zip file"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "is no checkpoint of minisegnet"),
        (b"hello", "is no checkpoint of minisegnet"),
        (b"step,loss\n1,0.5\n" * 99, "is no checkpoint of minisegnet"),
        (b"\0", "is no checkpoint of minisegnet"),
        (b"\xff" * 5000, "is no checkpoint of minisegnet"),
        (b"\0" * 5000, "is no checkpoint of minisegnet"),
        (b'{"__metadata__":{"format":"x"}}', "is no checkpoint of minisegnet"),
        (safetensors.numpy.save({"w": np.ones(3)}), "is a safetensors file that another program wrote"),
        (safetensors.numpy.save({"w": np.ones(3)}, {"format": "pt"}), "that another program wrote"),
    ],
)
def test_foreign_files(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(data)
    assert message in complaint(tmp_path / "a")


ZEROS = "0" * 64
GOOD = {"format": "minisegnet 1", "digest": ZEROS, "facts": "{}"}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            {"__metadata__": GOOD | {"format": "minisegnet 2"}},
            "was written by a newer minisegnet .format 2; this",
        ),
        ({"__metadata__": GOOD | {"format": "other 1"}}, "was written by another program"),
        ({"__metadata__": {"digest": ZEROS}}, "was written by another program"),
        ({"__metadata__": GOOD | {"format": 1}}, "can't be read"),
        ({"__metadata__": GOOD | {"facts": "[]"}}, "can't be read"),
        ({"__metadata__": GOOD | {"facts": "{"}}, "can't be read"),
        ({"__metadata__": GOOD | {"facts": "[" * 99999}}, "can't be read"),
        (
            {"__metadata__": GOOD, "x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}},
            "can't be read",
        ),
        ({"__metadata__": GOOD, "x": {"dtype": "F99", "shape": [], "data_offsets": [0, 0]}}, "can't be read"),
        (
            {"__metadata__": GOOD, "x": {"dtype": "BF16", "shape": [0], "data_offsets": [0, 0]}},
            "can't be read",
        ),
        ({"__metadata__": GOOD, "x": 3}, "can't be read"),
        ({"digest": ZEROS}, "can't be read"),
        ({"__metadata__": [GOOD]}, "can't be read"),
        (b'not JSON "digest":"' + b"0" * 64 + b'"', "can't be read"),
        (b'["digest":"' + b"0" * 64 + b'"' + b"[" * 99999, "can't be read"),
    ],
)
def test_a_digest_that_fits_is_not_enough(
    tmp_path: Path, header: dict[str, Any] | bytes, message: str
) -> None:
    (tmp_path / "a").write_bytes(signed(header))
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "a")


def test_two_digests_are_one_too_many(tmp_path: Path) -> None:
    data = signed(b'{"digest":"' + b"0" * 64 + b'","digest":"' + b"1" * 64 + b'"}')
    (tmp_path / "a").write_bytes(data)
    assert "is damaged" in complaint(tmp_path / "a")


def test_a_file_that_was_cut_short_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save(path, some_arrays(), FACTS)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for length in range(len(data)):
        path.write_bytes(data[:length])
        said = complaint(path)
        if length >= 100:  # before that, hardly anything says whose file it was
            whole = len(data) if length >= start else start
            assert f"is cut short: {length} of " in said, length
            assert length < start or f"of {whole} bytes" in said
    path.write_bytes(data + b"\0")
    assert "is damaged" in complaint(path)
    path.write_bytes(data)
    assert_same(load(path).arrays, some_arrays())


def test_every_bit_counts(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save(path, {"x": np.zeros(2, np.float32)}, {"step": 1})
    data = path.read_bytes()
    for i in range(len(data)):
        for bit in range(8):
            path.write_bytes(data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :])
            complaint(path)


def flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def change_bytes(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 16))):
        data[rng.randrange(len(data))] = rng.randrange(256)


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def cut_out(data: bytearray, rng: random.Random) -> None:
    i = rng.randrange(len(data))
    del data[i : i + rng.randint(1, 64)]


def extend(data: bytearray, rng: random.Random) -> None:
    data += rng.choice((b"\0", b" ", b"\n", rng.randbytes(rng.randint(1, 64)), bytes(data)))


def insert(data: bytearray, rng: random.Random) -> None:
    i = rng.randrange(len(data))
    data[i:i] = rng.choice((b"\0", b" ", rng.randbytes(rng.randint(1, 64))))


def swap_blocks(data: bytearray, rng: random.Random) -> None:
    size = rng.choice((1, 4, 8, 64, 512))
    i, j = rng.randrange(len(data)), rng.randrange(len(data))
    data[i : i + size], data[j : j + size] = data[j : j + size], data[i : i + size]


def zero_block(data: bytearray, rng: random.Random) -> None:
    size = rng.choice((1, 4, 64, 512))
    i = rng.randrange(len(data))
    data[i : i + size] = bytes(len(data[i : i + size]))


def double_block(data: bytearray, rng: random.Random) -> None:
    size, i = rng.choice((1, 8, 64, 512)), rng.randrange(len(data))
    data[i:i] = data[i : i + size]


def damage_digest(data: bytearray, rng: random.Random) -> None:
    start = data.index(b'"digest":"') + 10
    i = start + rng.randrange(64)
    data[i] = rng.choice((*b"0123456789abcdef", data[i] ^ 0x20, rng.randrange(256)))
    if rng.random() < 0.1:
        data[start : start + 64] = checkpoint.BLANK


def damage_length(data: bytearray, rng: random.Random) -> None:
    length = int.from_bytes(data[:8], "little")
    data[:8] = rng.choice(
        (length + 8, length - 8, length + rng.randint(-300, 300), rng.getrandbits(64), rng.getrandbits(12))
    ).to_bytes(8, "little", signed=False)


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip_bits,
    change_bytes,
    cut,
    cut_out,
    extend,
    insert,
    swap_blocks,
    zero_block,
    double_block,
    damage_digest,
    damage_length,
)


def no_damage_loads(path: Path, count: int, seed: int) -> None:
    """Damage a checkpoint in many ways; each must give a CheckpointError, and nothing else."""
    save(path, some_arrays(), FACTS)
    good = path.read_bytes()
    rng = random.Random(seed)
    for i in range(count):
        data = bytearray(good)
        damage = DAMAGES[i % len(DAMAGES)]
        while bytes(data) == good:  # a swap of two equal bytes is no damage
            damage(data, rng)
        path.write_bytes(data)
        try:
            load(path)
        except CheckpointError as error:
            assert str(path) in str(error)
            continue
        pytest.fail(f"{damage.__name__}, number {i}, loaded in silence")


def test_2000_damages_give_one_kind_of_error(tmp_path: Path) -> None:
    no_damage_loads(tmp_path / "a", 2_000, seed=0)


@pytest.mark.slow
def test_40000_damages_give_one_kind_of_error(tmp_path: Path) -> None:
    no_damage_loads(tmp_path / "a", 40_000, seed=1)


# ---------------------------------------------------------------------------------------------------------
# Full disks and killed processes

FULL_DISK = """
import resource, signal, sys
import numpy as np
from minisegnet.training.checkpoint import save
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save(sys.argv[1], {"x": np.ones(100_000)}, {"step": 2})
except OSError as error:
    print(error.errno, error)
"""


@needs_posix
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save(path, some_arrays(), FACTS)
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith(f"{errno.EFBIG} ") and str(path) in result.stdout
    assert "nothing was changed" in result.stdout
    assert names(tmp_path) == ["last.safetensors"]
    assert_same(load(path).arrays, some_arrays())


SAVE_FOR_EVER = """
import itertools, sys
import numpy as np
from minisegnet.training.checkpoint import save
for step in itertools.count(int(sys.argv[2])):
    save(sys.argv[1], {"x": np.full(200_000, step)}, {"step": step})
    print(step, flush=True)
"""


def kill_while_saving(path: Path, kills: int) -> None:
    """Kill a process that saves in a loop; what is left always loads, and is the last one or the one under way."""
    rng = random.Random(0)
    step = orphans = 0
    for _ in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, str(path), str(step)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()  # the first is saved
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.0, 0.1))
            process.send_signal(signal.SIGKILL)
            said = [step, *map(int, process.stdout.read().split("\n")[:-1])]
        arrays, facts = load(path)
        assert facts["step"] in (said[-1], said[-1] + 1)
        assert (arrays["x"] == facts["step"]).all()
        left = [name for name in names(path.parent) if TEMPORARY.fullmatch(name)]
        assert len(left) <= 1 and names(path.parent) == sorted([path.name, *left])
        orphans += len(left)
        assert [orphan.name for orphan in sweep(path.parent)] == left
        step = facts["step"] + 1
    assert kills < 20 or orphans > 0  # else no kill came at a bad moment, and this test shows nothing


@needs_posix
def test_killed_while_saving(tmp_path: Path) -> None:
    kill_while_saving(tmp_path / "last.safetensors", 3)


@pytest.mark.slow
@needs_posix
def test_killed_while_saving_many_times(tmp_path: Path) -> None:
    kill_while_saving(tmp_path / "last.safetensors", 30)
