"""``minisegnet start``: the stubs are right, and a file is written once or not at all."""

import doctest
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisegnet import ops
from minisegnet.cli import main
from minisegnet.marking import stubs
from minisegnet.marking.contract import LESSONS, contract

CLONE = Path(__file__).parent.parent
OPS = sorted({op for names in LESSONS.values() for op in names})


def functions(number):
    """Return what a stub defines."""
    names = {}
    exec(compile(stubs.stub(number, "mine.py"), "mine.py", "exec"), names)
    return names


def failures(op, function, names):
    """Run the examples of a stub's function as those of another; return how many fail, and how many there are."""
    text = inspect.getdoc(names[op])
    test = doctest.DocTestParser().get_doctest(text, {**names, op: function}, op, None, 0)
    runner = doctest.DocTestRunner(verbose=False)
    result = runner.run(test, out=lambda _: None)
    return result.failed, result.attempted


# ---------------------------------------------------------------------------------------------------------
# The stubs


def test_the_names_of_the_lessons_are_those_of_their_files():
    files = sorted((CLONE / "lessons").glob("[0-9]*.py"))
    assert [f"{number:02}_{name}" for number, name in stubs.NAMES.items()] == [path.stem for path in files]


@pytest.mark.parametrize("number", LESSONS)
def test_a_stub_has_the_lesson_s_functions_with_the_contract_s_parameters(number):
    names = functions(number)
    assert [n for n in names if n in ops.__all__] == list(LESSONS[number])
    for op in LESSONS[number]:
        theirs, ours = inspect.signature(names[op]).parameters, inspect.signature(getattr(ops, op)).parameters
        assert [(p.name, p.kind, p.default) for p in theirs.values()] == [
            (p.name, p.kind, p.default) for p in ours.values()
        ]
        with pytest.raises(NotImplementedError, match=op):
            names[op](*(None for p in ours.values() if p.kind is not p.KEYWORD_ONLY), **_required(op))
    assert all(len(line) <= 120 for line in stubs.stub(number, "mine.py").splitlines())
    assert stubs.stub(number, "mine.py").rstrip().endswith(f"minisegnet check {number:02} mine.py")


def _required(op):
    its = contract(op)
    return {name: None for name in its.options if name not in its.defaults}


@pytest.mark.parametrize("op", OPS)
def test_the_examples_are_right_and_an_empty_or_a_wrong_function_fails_them(op):
    names = functions(next(number for number, having in LESSONS.items() if op in having))
    with ops.use_backend("numpy"):
        failed, examples = failures(op, getattr(ops, op), names)
    assert examples >= 1 and failed == 0
    assert failures(op, names[op], names)[0] >= 1, "an empty stub must not pass its examples"

    def halved(*arguments, **options):
        result = getattr(ops, op)(*arguments, **options)
        if isinstance(result, list):
            return [part / 2 for part in result]
        return tuple(part / 2 for part in result) if isinstance(result, tuple) else result / 2

    with ops.use_backend("numpy"):
        assert failures(op, halved, names)[0] >= 1


def test_pair_is_there_where_it_is_needed():
    assert functions(2)["pair"](3) == (3, 3) and functions(2)["pair"]((2, 1)) == (2, 1)
    assert "pair" not in functions(8)


def test_each_function_is_described_once():
    assert sorted(stubs.TEXTS) == OPS


# ---------------------------------------------------------------------------------------------------------
# The command


def test_it_writes_the_file_and_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["start", "02", "mine.py"]) == 0
    told = capsys.readouterr().out
    assert "conv2d, conv2d_backward" in told and "check 02 mine.py" in told
    assert Path("mine.py").read_text(encoding="utf-8") == stubs.stub(2, "mine.py")
    assert main(["start", "5"]) == 0
    assert sorted(os.listdir()) == ["mine.py", "my_pool_and_unpool.py"]


def test_python_s_own_doctest_says_what_is_missing_and_nothing_when_all_is_there(tmp_path):
    (tmp_path / "mine.py").write_text(stubs.stub(3, "mine.py"), encoding="utf-8")
    command = [sys.executable, "-m", "doctest", "mine.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 1 and "relu isn't written yet" in ran.stdout
    solution = (CLONE / "lessons/solutions/marked/03_backpropagation.py").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(solution, encoding="utf-8")
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize("there", ["file", "folder", "link"])
def test_nothing_is_overwritten(there, tmp_path, capsys):
    file = tmp_path / "mine.py"
    if there == "file":
        file.write_text("my work", encoding="utf-8")
    elif there == "folder":
        file.mkdir()
    else:
        file.symlink_to(tmp_path / "nowhere")
    assert main(["start", "02", str(file)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["mine.py"]
    assert there != "file" or file.read_text(encoding="utf-8") == "my work"


def test_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(["start", "02", str(tmp_path / "mine.py")]) == 1
    assert "No space left" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["4"], "lesson 4 (tape) has no functions that can be marked. These have: 2 (convolution)"),
        (["14"], "lesson 14 (backends) has no functions"),
        (["15"], "expected a number from 1 to 14"),
        (["0"], "there is no lesson '0'"),
        (["-2"], "there is no lesson"),
        (["covolution"], "did you mean 'convolution'?"),
        (["03_convolution"], "there is no lesson"),
        (["²"], "there is no lesson"),
        (["2", "mine.txt"], "Try mine.py"),
        (["2", "mine"], "Try mine.py"),
        (["2", "numpy.py"], "try my_numpy.py"),
        (["2", "random.py"], "in the way"),
        (["2", "nowhere/mine.py"], "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_is_told(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["start", *words])
    except SystemExit as end:  # argparse took it for an option
        assert end.code == 2 and words[0].startswith("-")
        return
    assert code == 1
    assert told in capsys.readouterr().err
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("2", 2),
        ("02", 2),
        ("002", 2),
        ("02_convolution", 2),
        ("lessons/02_convolution.py", 2),
        ("Bilinear", 7),
        ("softmax-and-losses", 8),
        ("pool and unpool", 5),
        ("lessons\\12_unet.py", 12),
    ],
)
def test_a_lesson_by_number_or_name(word, number):
    assert stubs.number_of(word) == number


@given(st.text(max_size=12))
def test_any_word_is_a_lesson_or_an_error(word):
    try:
        assert stubs.number_of(word) in stubs.NAMES
    except ValueError as error:
        assert "there is no lesson" in str(error)


def test_an_untouched_stub_is_not_written_yet(tmp_path, capsys):
    file = tmp_path / "mine.py"
    assert main(["start", "10", str(file)]) == 0
    capsys.readouterr()
    assert main(["check", "10", str(file)]) == 1
    told = capsys.readouterr().out
    assert all(f"{op}: not written yet" in told for op in LESSONS[10])
    assert "Traceback" not in told
