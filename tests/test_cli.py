"""The command line: help, errors, doctor and demo."""

import importlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import minisegnet
from minisegnet import ops
from minisegnet.cli import COMMANDS, main


def python(code, **environment):
    """Run code in a fresh Python and return what it wrote and its exit code."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
        timeout=120,
    )


# ---------------------------------------------------------------------------------------------------------
# Help and errors


def test_help_names_every_command_and_shows_examples(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)
    assert "examples:" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    module = importlib.import_module(f"minisegnet.cli.{command.replace('-', '_')}")
    assert module.__doc__.splitlines()[0] in text
    assert f"minisegnet {command}" in text.split("examples:")[1]


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == f"minisegnet {minisegnet.__version__}"


def test_without_a_command_it_prints_help_and_returns_2(capsys):
    assert main([]) == 2
    assert "examples:" in capsys.readouterr().err


def test_an_unknown_command_is_a_wrong_call(capsys):
    with pytest.raises(SystemExit) as end:
        main(["demos"])
    assert end.value.code == 2
    assert "demos" in capsys.readouterr().err


def test_python_dash_m():
    ran = subprocess.run(
        [sys.executable, "-m", "minisegnet", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.startswith("minisegnet ")


def test_help_imports_nothing_heavy():
    ran = python(
        "import sys\n"
        "from minisegnet.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "try: main(['demo', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('numba', 'matplotlib', 'cupy', 'PIL') if name in sys.modules])"
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ValueError("this is\nwrong"), 1, "minisegnet: this is wrong\n"),
        (FileNotFoundError(2, "No such file", "a.png"), 1, "minisegnet: a.png: No such file\n"),
        (KeyboardInterrupt(), 130, "minisegnet: interrupted\n"),
    ],
)  # fmt: skip
def test_errors_are_told_in_one_line(error, code, told, monkeypatch, capsys):
    def fail():
        raise error

    monkeypatch.setattr("minisegnet.cli.doctor.examine", fail)
    assert main(["doctor"]) == code
    assert capsys.readouterr().err == told


def test_a_bug_is_not_hidden(monkeypatch):
    def fail():
        raise RuntimeError("a bug")

    monkeypatch.setattr("minisegnet.cli.doctor.examine", fail)
    with pytest.raises(RuntimeError):
        main(["doctor"])


# ---------------------------------------------------------------------------------------------------------
# doctor


@pytest.fixture
def no_environment(monkeypatch):
    for name in ("MINISEGNET_BACKEND", "OPENBLAS_CORETYPE"):
        monkeypatch.delenv(name, raising=False)


def test_doctor_as_text(no_environment, capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in ("minisegnet", "numpy", "numba", "pillow", "cores", "BLAS", "In use", *ops.BACKENDS):
        assert word in text
    for name in ops.BACKENDS:
        reason = ops.why_not(name)
        assert reason is None or reason in text


def test_doctor_as_json(no_environment, capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["versions"]["numpy"] == np.__version__
    assert report["backends"]["numpy"] == {"runs": True, "why_not": None}
    assert report["backend_in_use"]["name"] == ops.current_backend()
    assert report["cpu"]["usable_cores"] >= 1
    assert report["problems"] == []
    if report["backends"]["numba"]["runs"]:
        assert report["threads"]["numba"] >= 1
        assert report["threads"]["layer"] in ("omp", "tbb", "workqueue", None)


def test_doctor_names_a_wrong_backend_as_a_problem(no_environment, monkeypatch, capsys):
    monkeypatch.setenv("MINISEGNET_BACKEND", "nunba")
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "Problem: MINISEGNET_BACKEND is 'nunba'" in text
    assert "numpy" in text.split("Problem:")[1]


def test_doctor_says_why_a_backend_is_in_use(no_environment, monkeypatch, capsys):
    monkeypatch.setenv("MINISEGNET_BACKEND", "reference")
    assert main(["doctor"]) == 0
    assert "In use: reference (MINISEGNET_BACKEND is 'reference')" in capsys.readouterr().out
    with ops.use_backend("numpy"):
        assert main(["doctor"]) == 0
    assert "In use: numpy (chosen by use_backend)" in capsys.readouterr().out


def test_doctor_warns_of_a_forced_processor_type(no_environment, monkeypatch, capsys):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert main(["doctor"]) == 0
    assert "Warning: OPENBLAS_CORETYPE is 'Haswell'" in capsys.readouterr().out


def test_doctor_reports_a_backend_that_breaks(no_environment, monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr("minisegnet.backends.numpy.max_pool2d", broken)
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert "no such instruction" in report["problems"][0]
    assert not report["backends"]["numpy"]["runs"]


# ---------------------------------------------------------------------------------------------------------
# demo


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("minisegnet.cli.demo.SIZE", (48, 64))
    monkeypatch.setattr("minisegnet.cli.demo.REPEATS", 1)


def test_the_demo_covers_every_op():
    from minisegnet.cli.demo_cases import cases
    from minisegnet.cli.demo_picture import make_picture

    not_ops = {"BACKENDS", "current_backend", "to_backend", "to_numpy", "use_backend", "why_not"}
    with ops.use_backend("numpy"):
        covered = [case.op for case in cases(make_picture((24, 32)))]
    expected = {name for name in ops.__all__ if not name.endswith("_backward")} - not_ops
    assert sorted(covered) == sorted(expected)


def test_demo_with_numpy_alone(small, tmp_path, capsys):
    out = tmp_path / "picture.png"
    assert main(["demo", "--backend", "numpy", "--out", str(out), "--json"]) == 0
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


def test_demo_compares_and_never_overwrites(small, tmp_path, capsys):
    (tmp_path / "minisegnet-demo.png").write_text("mine")
    assert main(["demo", "--backend", "reference", "--out", str(tmp_path), "--json", "--seed", "3"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["agree"] is True
    assert 0 < result["largest_difference"] <= result["tolerance"]
    assert result["picture"].endswith("minisegnet-demo-2.png")
    assert (tmp_path / "minisegnet-demo.png").read_text() == "mine"


def test_demo_fails_where_backends_disagree(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "minisegnet.backends.reference.relu", lambda x: np.where(x > 0, x * x.dtype.type(1.001), 0 * x)
    )
    assert main(["demo", "--backend", "reference", "--out", str(tmp_path), "--json"]) == 1
    told = capsys.readouterr()
    assert "reference disagrees with numpy in relu" in told.err
    result = json.loads(told.out.splitlines()[-1])
    assert result["agree"] is False
    assert [d["op"] for d in result["disagreements"]] == ["relu"]


def test_demo_without_numba(tmp_path):
    ran = python(
        "import sys\n"
        "sys.modules['numba'] = None  # as if it weren't installed\n"
        "from minisegnet.cli import demo, main\n"
        "demo.SIZE, demo.REPEATS = (48, 64), 1\n"
        f"sys.exit(main(['demo', '--json', '--out', {str(tmp_path)!r}]))",
        MINISEGNET_BACKEND="",
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
def test_demo_refuses_bad_options_before_it_starts(options, told, capsys):
    assert main(["demo", *options]) == 1
    said = capsys.readouterr()
    assert told in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("seed", ["-1", "1.5", "x"])
def test_demo_refuses_a_bad_seed(seed, capsys):
    with pytest.raises(SystemExit) as end:
        main(["demo", f"--seed={seed}"])
    assert end.value.code == 2
    assert seed in capsys.readouterr().err


def test_differences_are_noticed():
    from minisegnet.cli.demo_cases import DIFFERENT, Measured, difference

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
    from minisegnet.cli.demo_picture import CLASSES, boxes, crop, make_picture

    picture, again, other = (make_picture((96, 128), seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(picture, again, strict=True))
    assert not np.array_equal(picture.image, other.image)
    assert picture.image.shape == (3, 96, 128)
    assert picture.image.dtype == np.float32
    assert picture.image.min() >= 0 and picture.image.max() <= 1
    assert set(np.unique(picture.labels)) == set(range(len(CLASSES)))
    assert np.array_equal(picture.labels > 0, picture.instances > 0)
    assert boxes(picture).shape == (6, 4)
    assert crop(picture, (24, 32)).image.shape == (3, 24, 32)
