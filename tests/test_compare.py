"""``minisegnet compare``: every op on each backend, on one picture."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minisegnet import ops
from minisegnet.cli import main


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("minisegnet.cli.compare.SIZE", (48, 64))
    monkeypatch.setattr("minisegnet.cli.compare.REPEATS", 1)


def test_it_covers_every_op():
    from minisegnet.cli.compare_cases import cases
    from minisegnet.cli.compare_inputs import make_picture

    not_ops = {
        "BACKENDS",
        "current_backend",
        "exact_convolutions",
        "to_backend",
        "to_numpy",
        "use_backend",
        "why_not",
    }
    with ops.use_backend("numpy"):
        covered = [case.op for case in cases(make_picture((32, 32)))]
    expected = {name for name in ops.__all__ if not name.endswith("_backward")} - not_ops
    assert sorted(covered) == sorted(expected)


def test_it_with_numpy_alone(small, tmp_path, capsys):
    out = tmp_path / "picture.png"
    assert main(["compare", "--backend", "numpy", "--out", str(out), "--json"]) == 0
    text = capsys.readouterr().out
    result = json.loads(text.splitlines()[-1])
    assert result["picture"] == str(out)
    assert result["backends"] == ["numpy"]
    assert result["agree"] is None
    assert result["ops"] == len(result["milliseconds"]["numpy"])
    assert "minisegnet doctor" in text
    with Image.open(out) as image:
        assert image.format == "PNG"
        assert image.width > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_it_compares_and_never_overwrites(small, tmp_path, capsys):
    (tmp_path / "minisegnet-compare.png").write_text("mine")
    assert main(["compare", "--backend", "reference", "--out", str(tmp_path), "--json", "--seed", "3"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["agree"] is True
    assert 0 < result["largest_difference"] <= result["tolerance"]
    assert result["picture"].endswith("minisegnet-compare-2.png")
    assert (tmp_path / "minisegnet-compare.png").read_text() == "mine"


def test_it_fails_where_backends_disagree(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "minisegnet.backends.reference.relu", lambda x: np.where(x > 0, x * x.dtype.type(1.001), 0 * x)
    )
    assert main(["compare", "--backend", "reference", "--out", str(tmp_path), "--json"]) == 1
    told = capsys.readouterr()
    assert "reference disagrees with numpy in relu" in told.err
    result = json.loads(told.out.splitlines()[-1])
    assert result["agree"] is False
    assert [d["op"] for d in result["disagreements"]] == ["relu"]


def test_it_without_numba(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['numba'] = None  # as if it weren't installed\n"
        "from minisegnet.cli import compare, main\n"
        "compare.SIZE, compare.REPEATS = (48, 64), 1\n"
        f"sys.exit(main(['compare', '--json', '--out', {str(tmp_path)!r}]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"MINISEGNET_BACKEND": ""},
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["backends"] == ["numpy", "reference"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--out", "nowhere/a.png"], "create it first"),
        (["--out", "a.jpg"], "ends in .png"),
        (["--backend", "nunba"], "no backend named 'nunba'"),
    ],
)
def test_it_refuses_bad_options_before_it_starts(options, told, capsys):
    assert main(["compare", *options]) == 1
    said = capsys.readouterr()
    assert told in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("seed", ["-1", "1.5", "x"])
def test_it_refuses_a_bad_seed(seed, capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare", f"--seed={seed}"])
    assert end.value.code == 2
    assert seed in capsys.readouterr().err


def test_differences_are_noticed():
    from minisegnet.cli.compare_cases import DIFFERENT, Measured, difference

    def measured(*outputs):
        return Measured(outputs, (), 0.0, 0.0, None)

    y = np.array([1.0, 4.0], np.float32)
    indices = np.array([0, 3])
    assert difference(measured(y, indices), measured(y.copy(), indices.copy())) == 0
    assert difference(measured(y), measured(y + np.float32(0.5))) == 0.125
    assert difference(measured(y), measured(np.array([1.0, np.nan], np.float32))) == DIFFERENT
    assert difference(measured(y), measured(y.astype(np.float64))) == DIFFERENT
    assert difference(measured(y), measured(y[:1])) == DIFFERENT
    assert difference(measured(y, indices), measured(y)) == DIFFERENT
    assert difference(measured(indices), measured(indices[::-1])) == DIFFERENT


def test_the_picture_is_a_function_of_size_and_seed():
    from minisegnet.cli.compare_inputs import boxes, make_picture
    from minisegnet.data.synthetic.shapes import CLASS_NAMES

    picture, again, other = (make_picture((96, 128), seed) for seed in (0, 0, 6))
    assert all(np.array_equal(a, b) for a, b in zip(picture, again, strict=True))
    assert not np.array_equal(picture.image, other.image)
    assert picture.image.shape == (3, 96, 128)
    assert picture.image.dtype == np.float32
    assert picture.image.min() >= 0 and picture.image.max() <= 1
    assert set(np.unique(picture.labels)) == set(range(len(CLASS_NAMES)))  # the default shows every class
    assert np.array_equal(picture.labels > 0, picture.instances > 0)
    assert boxes(picture).shape == (6, 4)


@pytest.mark.parametrize("seed", range(20))
def test_the_part_for_slow_backends_shows_something(seed):
    from minisegnet.cli.compare_inputs import boxes, busiest_part, make_picture

    part = busiest_part(make_picture((96, 128), seed), (24, 32))
    assert part.image.shape == (3, 24, 32)
    assert all(array.flags.c_contiguous for array in part)
    assert len(np.unique(part.labels)) >= 2
    assert len(boxes(part)) >= 1


def test_boxes_hold_exactly_what_is_seen():
    from minisegnet.cli.compare_inputs import Picture, boxes

    instances = np.array([[0, 2, 2, 0], [0, 2, 0, 0], [0, 0, 0, 5]])
    picture = Picture(np.zeros((3, 3, 4), np.float32), instances, instances)
    assert boxes(picture).tolist() == [[1, 0, 2, 1], [3, 2, 3, 2]]
    nothing = Picture(picture.image, 0 * instances, 0 * instances)
    assert boxes(nothing).shape == (0, 4)


def test_no_file_is_left_where_the_picture_cannot_be_written(small, tmp_path, monkeypatch, capsys):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("minisegnet.files.write_atomically", full)
    assert main(["compare", "--backend", "numpy", "--out", str(tmp_path)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
