"""Files are written whole or not at all: errors, full disks and killed processes leave the old one."""

import errno
import os
import secrets
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minisegnet import files
from minisegnet.files import sweep, write_atomically, written_atomically

ORPHAN = ".best.safetensors.0123456789abcdef.tmp"
needs_posix = pytest.mark.skipif(os.name == "nt", reason="permissions and file size limits are POSIX's")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(*arguments: object) -> None:
    raise OSError(errno.EIO, "the disk is broken")


# ---------------------------------------------------------------------------------------------------------
# Writing


@pytest.mark.parametrize("data", [b"", b"\x00\r\n\xff", b"x" * 3_000_000])
def test_bytes_come_back(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.bin"
    for content in (b"what was there before", data):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert names(tmp_path) == ["a.bin"]


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    write_atomically(str(tmp_path / "분할.txt"), "하늘\r\n나무\n")
    assert (tmp_path / "분할.txt").read_bytes() == "하늘\r\n나무\n".encode()


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="data is a int; expected bytes or text"):
        write_atomically(tmp_path / "a", 3)  # type: ignore[arg-type]
    assert names(tmp_path) == []


@needs_posix
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_new_file_has_the_permissions_that_open_gives(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "ours", b"")
        open(tmp_path / "plain", "wb").close()
    finally:
        os.umask(before)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@needs_posix
def test_an_old_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for mode in (0o600, 0o666, 0o755):
        path.touch()
        path.chmod(mode)
        write_atomically(path, b"new")
        assert stat.S_IMODE(path.stat().st_mode) == mode


@needs_posix
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other" / "real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "other" / "real").read_bytes() == b"new"
    assert names(tmp_path / "other") == ["real"]


def test_the_temporary_file_is_in_the_same_folder_and_is_swept_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Path, Path]] = []
    replace = os.replace

    def watched(old: Path, new: Path) -> None:
        seen.append((Path(old), Path(new)))
        replace(old, new)

    monkeypatch.setattr(os, "replace", watched)
    write_atomically(tmp_path / "a.txt", "x")
    ((old, new),) = seen
    assert new == (tmp_path / "a.txt").resolve() and old.parent == new.parent
    assert files.TEMPORARY.fullmatch(old.name) and old.name.startswith(".a.txt.")


# ---------------------------------------------------------------------------------------------------------
# Failing


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("there", [False, True])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, there: bool
) -> None:
    path = tmp_path / "a.txt"
    if there:
        path.write_text("old")
    monkeypatch.setattr(os, call, failing)
    with pytest.raises(
        OSError, match="the disk is broken; could not write the file, nothing was changed"
    ) as e:
        write_atomically(path, "new")
    assert e.value.errno == errno.EIO and e.value.filename == str(path)
    assert names(tmp_path) == (["a.txt"] if there else [])
    assert not there or path.read_text() == "old"


def test_ctrl_c_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_a_temporary_name_that_is_taken_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda count: "0123456789abcdef")
    (tmp_path / ORPHAN).write_text("somebody else's")
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "best.safetensors", "new")
    assert names(tmp_path) == [ORPHAN] and (tmp_path / ORPHAN).read_text() == "somebody else's"


def test_a_missing_folder_and_a_folder_in_the_way_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "a.txt"
    with pytest.raises(FileNotFoundError) as e:
        write_atomically(missing, "x")
    assert e.value.filename == str(missing)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="nothing was changed") as in_the_way:
        write_atomically(tmp_path / "folder", "x")
    assert in_the_way.value.filename == str(tmp_path / "folder") and names(tmp_path) == ["folder"]


@needs_posix
@pytest.mark.parametrize(("code", "fails"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, fails: bool
) -> None:
    """Systems that have no such thing are forgiven; a broken disk is not."""
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, "no")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    if fails:
        with pytest.raises(OSError, match="the file is written, but a power cut may undo it"):
            write_atomically(tmp_path / "a", b"new")
    else:
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and names(tmp_path) == ["a"]


FULL_DISK = """
import os, resource, signal, sys
from minisegnet.files import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails instead of killing the process
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_atomically(sys.argv[1], b"n" * 1_000_000)
except OSError as error:
    print(error.errno, error)
"""


@needs_posix
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old" * 100)
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith(f"{errno.EFBIG} ") and "nothing was changed" in result.stdout
    assert str(path) in result.stdout
    assert path.read_bytes() == b"old" * 100 and names(tmp_path) == ["a.bin"]


# ---------------------------------------------------------------------------------------------------------
# Sweeping


def test_sweep_removes_orphans_and_nothing_else(tmp_path: Path) -> None:
    orphans = [ORPHAN, ".a.0000000000000000.tmp", ".세 그.toml.ffffffffffffffff.tmp"]
    others = [
        "best.safetensors",
        "best.safetensors.0123456789abcdef.tmp",  # no dot in front
        ".best.0123456789abcde.tmp",  # 15 digits
        ".best.0123456789ABCDEF.tmp",
        ".best.0123456789abcdef.tmp.old",
        "..0123456789abcdef.tmp",  # of a file without a name
        ".tmp",
        ".lock",
    ]
    for name in orphans + others:
        (tmp_path / name).write_text("x")
    (tmp_path / ".folder.0123456789abcdef.tmp").mkdir()
    assert sorted(path.name for path in sweep(tmp_path)) == sorted(orphans)
    assert names(tmp_path) == sorted([*others, ".folder.0123456789abcdef.tmp"])
    assert sweep(str(tmp_path)) == []


def test_sweeping_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sweep(tmp_path / "nowhere")


def test_a_file_written_bit_by_bit_is_there_whole_or_not_at_all(tmp_path):
    target = tmp_path / "numbers.bin"
    with written_atomically(target) as file:
        file.write(b"abc")
        file.seek(1)
        file.write(b"x")
        assert not target.exists()
    assert target.read_bytes() == b"axc"
    with pytest.raises(ZeroDivisionError), written_atomically(target) as file:
        file.write(b"half")
        _ = 1 / 0
    with pytest.raises(OSError, match="No such file") as caught:
        with written_atomically(target) as file:
            file.write(b"half")
            (tmp_path / "other.bin").read_bytes()
    assert caught.value.filename == str(tmp_path / "other.bin")  # not the file that is written
    assert target.read_bytes() == b"axc" and len(list(tmp_path.iterdir())) == 1


# ---------------------------------------------------------------------------------------------------------
# Whole folders


def test_many_at_once_each_get_a_folder_of_their_own(tmp_path):
    def write(k):
        return files.write_folder(tmp_path / "out", {"a.txt": f"{k}", "b.bin": bytes([k]) * 1000})

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(write, range(24)))
    wanted = {"out", *(f"out-{k}" for k in range(2, 25))}
    assert {folder.name for folder in written} == wanted == set(names(tmp_path))
    for k, folder in enumerate(written):
        assert (folder / "a.txt").read_text() == f"{k}" and (folder / "b.bin").read_bytes() == bytes(
            [k]
        ) * 1000


def test_what_has_the_name_stays(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    assert files.write_folder(tmp_path / "out", {"a": "x"}) == tmp_path / "out-2"
    assert (tmp_path / "out").is_symlink() and not (tmp_path / "nowhere").exists()


def test_a_name_that_cannot_be_leaves_nothing(tmp_path):
    with pytest.raises(OSError):
        files.write_folder(tmp_path / "out", {"a": "x", "no/such/folder": "y"})
    assert list(tmp_path.iterdir()) == []
