"""The command line: help, errors and doctor."""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest

import minisegnet
from minisegnet import ops
from minisegnet.cli import COMMANDS, FILES, main

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
    module = importlib.import_module(f"minisegnet.cli.{FILES.get(command, command).replace('-', '_')}")
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
    code = (
        "import sys\n"
        "from minisegnet.cli import main\n"
        "for words in (['--help'], ['demo', '--help'], ['compare', '--help']):\n"
        "    try: main(words)\n"
        "    except SystemExit: pass\n"
        "print([name for name in ('numba', 'matplotlib', 'cupy', 'PIL') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ValueError("this is\n  wrong"), 1, "minisegnet: this is\n  wrong\n"),
        (FileNotFoundError(2, "No such file", "a.png"), 1, "minisegnet: a.png: No such file\n"),
        (KeyboardInterrupt(), 130, "minisegnet: interrupted\n"),
    ],
)  # fmt: skip
def test_errors_are_told_without_a_traceback(error, code, told, monkeypatch, capsys):
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
    assert (report["gpu"] is None) == (not report["backends"]["cupy"]["runs"])
    if report["backends"]["cuda-on-cpu"]["runs"]:
        assert "cuda-on-cpu" in report["cuda_on_cpu"]["folder"]
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
