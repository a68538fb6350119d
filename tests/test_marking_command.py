"""``minisegnet check`` and the learner's process: whatever a file does, the answer is clear and in time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minisegnet.cli import main
from minisegnet.marking import Limits, mark
from minisegnet.marking.text import as_text

QUICK = Limits(importing=10, call=1.5, whole=60, memory=2**30)
GOOD = "import numpy as np\n\n\ndef relu(x):\n    return np.maximum(x, 0)\n"
BACK = "\n\ndef relu_backward(dy, y):\n    return np.where(y > 0, dy, 0).astype(dy.dtype)\n"
posix = pytest.mark.skipif(os.name != "posix", reason="limits of memory and signals are POSIX's")


def written(tmp_path, source, name="mine.py"):
    path = tmp_path / name
    path.write_text(source, encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------------------------------
# Files that can't be imported


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def relu(x:\n    return x\n", ["no valid Python", "line 1"]),
        ("def relu(x):\nreturn x\n", ["no valid Python", "line 2"]),
        ("import numpyy\n", ["importing it raises ModuleNotFoundError", "numpyy", "line 1"]),
        ("x = 1 / 0\n", ["ZeroDivisionError", "line 1: x = 1 / 0"]),
        ("import sys\nsys.exit('bye')\n", ["ends the program while it is imported"]),
        ("import os\nos._exit(7)\n", ["ended the whole program with exit code 7"]),
        ("name = input('Your name? ')\n", ["asks for input while it is imported"]),
        ("raise KeyboardInterrupt\n", ["KeyboardInterrupt"]),
        ("x = 5\n", ["none of the functions", "relu"]),
        ("def reluu(x):\n    return x\n", ["it has reluu", "did you mean"]),
        ("from minisegnet.ops import relu\n", ["none of the functions"]),
        ("", ["none of the functions"]),
        ("\0", ["no valid Python"]),
    ],
)
def test_a_file_that_cannot_be_marked_says_why(tmp_path, source, words):
    report = mark(written(tmp_path, source), 3, QUICK)
    assert not report.passed and not report.verdicts
    text = as_text(report)
    assert all(word in text for word in words), text
    assert "relu_backward(dy, y) -> dx" in text  # what is still to be written


def test_an_import_without_an_end_is_stopped(tmp_path):
    began = time.monotonic()
    report = mark(written(tmp_path, "while True:\n    pass\n"), None, Limits(importing=1.5))
    assert "importing it takes more than 2 seconds" in report.trouble
    assert time.monotonic() - began < 60


def test_bytes_that_are_no_text_are_told(tmp_path):
    path = tmp_path / "mine.py"
    path.write_bytes(b"\xff\xfe\x00")
    assert "no valid Python" in mark(path, None, QUICK).trouble


def test_a_notebook_is_told_to_be_exported(tmp_path):
    assert "notebook" in mark(written(tmp_path, "{}", "mine.ipynb")).trouble


# ---------------------------------------------------------------------------------------------------------
# Functions that misbehave


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("while True: pass", "late", "doesn't come back within 2 seconds"),
        ("import time; time.sleep(60)", "late", "doesn't come back within 2 seconds"),
        ("import os; os._exit(0)", "died", "ended the whole program with exit code 0"),
        ("import sys; sys.exit()", "raised", "it raises SystemExit"),
        ("return input()", "raised", "EOFError"),
        ("return relu(x)", "raised", "RecursionError"),
        ("raise KeyboardInterrupt", "raised", "KeyboardInterrupt"),
        ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "raised", "it raises Odd"),
        ("return x.astype(object)", "kind", "array of dtype object"),
        ("return type('Odd', (), {'__repr__': lambda self: 1 / 0})()", "kind", "of type Odd"),
        ("return np.ma.masked_array(x)", "kind", "masked array"),
        ("return np.zeros((3000, 3000))", "shape", "array of shape (3000, 3000); expected (1,)"),
    ],
)
def test_a_function_that_misbehaves_is_shown(tmp_path, body, kind, words):
    source = f"import numpy as np\n\n\ndef relu(x):\n    {body}\n"
    (verdict,) = mark(written(tmp_path, source), None, QUICK).verdicts
    assert (verdict.status, verdict.failure.problem.kind) == ("fail", kind), verdict
    assert words in verdict.failure.problem.text


@posix
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import ctypes; ctypes.string_at(0)", "memory that isn't its own"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by the system"),
        ("return np.ones(2**31) + np.ones(2**31)", "MemoryError"),
    ],
)
def test_crashes_and_greed_are_told_apart(tmp_path, body, words):
    source = f"import numpy as np\n\n\ndef relu(x):\n    {body}\n"
    (verdict,) = mark(written(tmp_path, source), None, QUICK).verdicts
    assert words in verdict.failure.problem.text


def test_one_bad_function_does_not_harm_the_next(tmp_path):
    source = GOOD + "\n\ndef add(a, b):\n    import os\n    os._exit(1)\n"
    verdicts = {v.op: v.status for v in mark(written(tmp_path, source), None, QUICK).verdicts}
    assert verdicts == {"relu": "pass", "add": "fail"}


def test_what_it_prints_confuses_nothing(tmp_path):
    source = (
        "import os, sys\nprint('hello')\nsys.stdout.write('\\x00' * 9)\n"
        + GOOD.replace("    return", "    print('x' * 5000); os.write(1, b'\\x08' + b'\\0' * 40)\n    return")
        + "\n\ndef add(a, b):\n    sys.stdout.close()\n    return a + b\n"
    )
    report = mark(written(tmp_path, source), None, QUICK)
    assert [v.status for v in report.verdicts if v.op == "relu"] == ["pass"]
    assert report.printed.startswith("hello") and len(report.printed) <= 2000


def test_changing_numpy_under_our_feet_changes_nothing(tmp_path):
    """The reference runs in another process: the file can't spoil what it is compared with."""
    source = "import numpy as np\nnp.maximum = lambda a, b: a\nnp.array_equal = lambda *a, **k: True\n" + GOOD
    (verdict,) = mark(written(tmp_path, source), None, QUICK).verdicts
    assert verdict.status == "fail"


@posix
def test_nothing_is_left_running(tmp_path):
    source = GOOD + (
        "\nimport subprocess, sys\nother = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(other.pid)\n"
    )
    report = mark(written(tmp_path, source), None, QUICK)
    pid = int(report.printed.split()[0])
    for _ in range(50):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rsplit(")")[-1].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("a process that the file started is still there")


def test_it_is_imported_like_a_script_beside_its_neighbours_and_leaves_nothing(tmp_path):
    written(tmp_path, "import numpy as np\n\n\ndef positive(x):\n    return np.maximum(x, 0)\n", "helper.py")
    source = "from helper import positive\n\n\ndef relu(x):\n    return positive(x)\n"
    source += "\n\nif __name__ == '__main__':\n    1 / 0\n"
    assert mark(written(tmp_path, source), None, QUICK).passed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["helper.py", "mine.py"]


def test_names_that_others_have_do_no_harm(tmp_path):
    assert mark(written(tmp_path, GOOD, "json.py"), None, QUICK).passed
    assert mark(written(tmp_path, GOOD, "numpy.py"), None, QUICK).passed


# ---------------------------------------------------------------------------------------------------------
# The command


def test_all_right_is_0_and_tells_what_is_missing(tmp_path, capsys):
    path = str(written(tmp_path, GOOD))
    assert main(["check", path]) == 0
    assert "relu: passes all" in capsys.readouterr().out
    assert main(["check", "03", path]) == 0
    out = capsys.readouterr().out
    assert "Still to write:" in out and "linear(x, w, b=None) -> y" in out


def test_something_wrong_is_1(tmp_path, capsys):
    path = written(tmp_path, "def relu(x):\n    return x\n")
    assert main(["check", "3", str(path)]) == 1
    out = capsys.readouterr().out
    assert "relu: fails" in out and "expected" in out and "*-" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["check", "02"], "the file is missing"),
        (["check", "nowhere.py"], "no such file"),
        (["check", "no/where"], "no such file"),
        (["check", "1", "x.py"], "lesson 1 has no functions to write"),
        (["check", "99", "x.py"], "expected one of the lessons 2, 3"),
        (["check", "--as-backend", "a.py", "b.py"], "one file"),
    ],
)
def test_a_wrong_call_is_2(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert told in capsys.readouterr().err


def test_an_empty_folder_is_a_wrong_call(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert "without Python files" in capsys.readouterr().err


def test_a_folder_gets_one_line_for_each_file(tmp_path, capsys):
    written(tmp_path, GOOD + BACK, "anna.py")
    written(tmp_path, "def relu(x):\n    return x\n", "ben.py")
    written(tmp_path, "def relu(x:\n", "carl.py")
    assert main(["check", "03", str(tmp_path)]) == 1
    anna, ben, carl, _, summary = capsys.readouterr().out.splitlines()
    assert "relu ok, relu_backward ok, linear missing" in anna
    assert "ben.py: relu FAILS" in ben and "carl.py: it is no valid Python" in carl
    assert summary == "1 of 3 files pass"


def test_json_has_one_object_a_line(tmp_path, capsys):
    written(tmp_path, GOOD, "anna.py")
    written(
        tmp_path,
        "import numpy as np\ndef relu(x):\n    return np.where(x > 0, x, 0).astype(x.dtype)\n",
        "ben.py",
    )
    assert main(["check", "03", str(tmp_path), "--json"]) == 1
    anna, ben = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert anna["passed"] and anna["missing_functions"] == [
        "linear",
        "linear_backward",
        "relu_backward",
        "conv2d_backward",
    ]
    failure = ben["functions"][0]["failure"]
    assert failure["mistake"] == "relu.nan-hidden" and "nan" in failure["arrays"]["x"]


def test_a_module_by_its_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine").mkdir()
    written(tmp_path / "mine", GOOD, "kernels.py")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "mine.kernels"]) == 0
    assert main(["check", "mine.colonels"]) == 1
    assert "No module named" in capsys.readouterr().out


def test_help_comes_without_the_marker(tmp_path):
    """`minisegnet --help` and `import minisegnet` load nothing of it."""
    code = "import sys, minisegnet.cli as c; c._parser(['--help']); print([m for m in sys.modules if 'marking' in m])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@posix
def test_an_interruption_ends_the_learners_process_too(tmp_path):
    import signal

    path = written(
        tmp_path,
        f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n",
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "minisegnet", "check", str(path)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    pid = tmp_path / "pid"
    end = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < end:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
