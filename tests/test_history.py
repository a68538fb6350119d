"""The tables of a run: readable, cut back at resume, never spoilt by a killed process or a NaN."""

import csv
import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import examples

from minisegnet.training.history import MARK, MOST_WAITING, History
from minisegnet.training.run_folder import METRICS_CSV, METRICS_JSONL, STEPS

NAMES = ("step", "miou", "iou_하늘, 구름", 'iou_"quoted"', "iou_a;b", "iou_two\nlines", "iou_é\r")


def fill(history: History, first: int, last: int) -> None:
    for step in range(first, last + 1):
        history.step(step, 1 / step, 0.1, float(step))
        if step % 2 == 0:
            history.evaluation({"step": step, "miou": step / 100, "note": f"after {step}"})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    return repr(found) == repr(expected)  # NaN isn't equal to itself


# ---------------------------------------------------------------------------------------------------------
# Writing and reading


def test_rows_come_back_as_numbers(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.step(1, loss=0.1 + 0.2, lr=1e-300, gradient_norm=2)
    history.step(2, loss=math.nan, lr=math.inf, gradient_norm=-math.inf)
    expected = [
        {"step": 1.0, "loss": 0.1 + 0.2, "lr": 1e-300, "gradient_norm": 2.0},
        {"step": 2.0, "loss": math.nan, "lr": math.nan, "gradient_norm": math.nan},
    ]
    assert same(history.read_steps(), expected) and same(History(str(tmp_path)).read_steps(), expected)
    assert (tmp_path / STEPS).read_bytes().splitlines()[::2] == [b"step,loss,lr,gradient_norm", b"2,,,"]


def test_evaluations_are_written_twice(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.evaluation(
        {"step": 5, "miou": 0.5, "iou_car": math.nan, "iou_sky": None, "note": "ok", "best": True}
    )
    history.flush()
    assert (tmp_path / METRICS_CSV).read_text() == "step,miou,iou_car,iou_sky,note,best\n5,0.5,,,ok,True\n"
    assert json.loads((tmp_path / METRICS_JSONL).read_text(), parse_constant=pytest.fail) == {
        "step": 5,
        "miou": 0.5,
        "iou_car": None,
        "iou_sky": None,
        "note": "ok",
        "best": True,
    }
    expected = [
        {"step": 5.0, "miou": 0.5, "iou_car": math.nan, "iou_sky": math.nan, "note": "ok", "best": True}
    ]
    assert same(history.read_evaluations(), expected)


def test_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.step(int(np.int64(3)), np.array(0.5), np.float64(0.25), np.float32("nan"))  # type: ignore[arg-type]
    history.evaluation(
        {"step": np.int64(3), "miou": np.float32(0.5), "count": np.uint8(7), "good": np.bool_(True)}
    )
    assert same(history.read_steps(), [{"step": 3.0, "loss": 0.5, "lr": 0.25, "gradient_norm": math.nan}])
    assert history.read_evaluations() == [{"step": 3.0, "miou": 0.5, "count": 7.0, "good": True}]


@settings(max_examples=examples(60))
@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_every_float_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    history = History(tmp_path_factory.mktemp("run"))
    for step, value in enumerate(values):
        history.step(step, value, value, value)
        history.evaluation({"step": step, "miou": value})
    kept = [value if math.isfinite(value) else math.nan for value in values]
    assert repr([row["loss"] for row in history.read_steps()]) == repr(kept)
    assert repr([row["miou"] for row in history.read_evaluations()]) == repr(kept)


def test_class_names_with_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    row = {name: i + 1 for i, name in enumerate(NAMES)}
    for _ in range(2):  # the second time continues the table
        history = History(tmp_path)
        history.evaluation(row)
        history.flush()
    with open(tmp_path / METRICS_CSV, encoding="utf-8-sig", newline="") as file:
        table = list(csv.reader(file))
    one_line = [name.replace("\n", " ").replace("\r", " ") for name in NAMES]
    assert table == [one_line, *[[str(i + 1) for i in range(len(NAMES))]] * 2]
    assert history.read_evaluations() == [row, row]  # JSON keeps names as they are
    assert (tmp_path / METRICS_CSV).read_bytes().startswith(MARK.encode())


def test_the_mark_for_spreadsheets_is_only_where_it_is_needed(tmp_path: Path) -> None:
    history = History(tmp_path)
    fill(history, 1, 2)
    history.flush()
    assert (tmp_path / METRICS_CSV).read_text().startswith("step,")


def test_nothing_is_written_before_there_are_rows(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.flush()
    history.rewind(0)
    assert history.read_steps() == [] and history.read_evaluations() == []
    assert contents(tmp_path) == {}


def test_rows_wait_for_the_flush_but_not_for_ever(tmp_path: Path) -> None:
    history = History(tmp_path)
    fill(history, 1, 10)
    assert contents(tmp_path) == {}
    history.flush()
    written = contents(tmp_path)
    history.flush()
    assert sorted(written) == [METRICS_CSV, METRICS_JSONL, STEPS] and contents(tmp_path) == written
    fill(history, 11, 11 + MOST_WAITING)
    assert len((tmp_path / STEPS).read_bytes().splitlines()) > MOST_WAITING


# ---------------------------------------------------------------------------------------------------------
# What is refused


def test_columns_are_those_of_the_first_row(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.evaluation({"step": 1, "miou": 0.5, "loss": 1.0})
    history.evaluation({"loss": 2.0, "step": 2})
    history.flush()
    for opened in (history, History(tmp_path)):
        with pytest.raises(ValueError, match=r"the row has dice, which .* expected: step, miou, loss"):
            opened.evaluation({"step": 3, "dice": 0.5})
        opened.flush()
    assert (tmp_path / METRICS_CSV).read_text() == "step,miou,loss\n1,0.5,1.0\n2,,2.0\n"
    assert history.read_evaluations() == [
        {"step": 1.0, "miou": 0.5, "loss": 1.0},
        {"loss": 2.0, "step": 2.0},
    ]


@pytest.mark.parametrize("step", [None, 1.5, "1", True, math.nan])
def test_a_row_needs_a_step(tmp_path: Path, step: Any) -> None:
    with pytest.raises(ValueError, match=r"the row's step is .* expected a whole number"):
        History(tmp_path).evaluation({"step": step, "miou": 0.5})
    with pytest.raises(ValueError, match="the row's step is None"):
        History(tmp_path).evaluation({"miou": 0.5})


@pytest.mark.parametrize("value", [[0.5], {"car": 0.5}, np.zeros(2), object()])
def test_a_cell_is_a_number_or_a_text(tmp_path: Path, value: Any) -> None:
    history = History(tmp_path)
    with pytest.raises(TypeError, match=r"iou is a .*; expected a number, a text or None in each cell"):
        history.evaluation({"step": 1, "iou": value})
    history.flush()
    assert contents(tmp_path) == {}


# ---------------------------------------------------------------------------------------------------------
# Going on after a kill


@pytest.mark.parametrize("at", [0, 1, 5, 6, 10, 99])
def test_a_rewound_history_goes_on_as_if_it_had_never_gone_further(tmp_path: Path, at: int) -> None:
    for name in ("straight", "resumed"):
        (tmp_path / name).mkdir()
    straight, killed = History(tmp_path / "straight"), History(tmp_path / "resumed")
    fill(straight, 1, 12)
    straight.flush()
    fill(killed, 1, 10)
    killed.flush()
    resumed = History(tmp_path / "resumed")
    resumed.rewind(at)
    assert [row["step"] for row in resumed.read_steps()] == list(range(1, min(at, 10) + 1))
    fill(resumed, min(at, 10) + 1, 12)
    resumed.flush()
    assert contents(tmp_path / "resumed") == contents(tmp_path / "straight")


def test_rows_that_wait_are_rewound_too(tmp_path: Path) -> None:
    history = History(tmp_path)
    fill(history, 1, 10)
    history.rewind(4)
    assert [row["step"] for row in history.read_steps()] == [1, 2, 3, 4]
    assert [row["step"] for row in history.read_evaluations()] == [2, 4]


def test_rewinding_keeps_names_and_cells_as_they_are(tmp_path: Path) -> None:
    history = History(tmp_path)
    for step in (1, 2):
        history.evaluation({name: step if name == "step" else f"{name}, {step}" for name in NAMES})
    history.flush()
    before = contents(tmp_path)
    History(tmp_path).rewind(2)
    assert contents(tmp_path) == before
    History(tmp_path).rewind(1)
    assert (tmp_path / METRICS_CSV).read_bytes() == b"".join(
        before[METRICS_CSV].splitlines(keepends=True)[:2]
    )


@pytest.mark.parametrize("rewinds", [True, False])
def test_a_file_that_was_torn_anywhere_is_mended(tmp_path: Path, rewinds: bool) -> None:
    """Every length that a killed process can leave behind."""
    whole = History(tmp_path)
    for step in (1, 2, 3):
        whole.step(step, 0.5, 0.1, 1.0)
        whole.evaluation({"step": step, "iou_하늘": 0.5})
    whole.flush()
    for name, content in contents(tmp_path).items():
        for length in range(len(content) + 1):
            (tmp_path / name).write_bytes(content[:length])
            complete = max(content[:length].count(b"\n") - (0 if name == METRICS_JSONL else 1), 0)
            history = History(tmp_path)
            table = history.read_evaluations if name == METRICS_JSONL else history.read_steps
            if name != METRICS_CSV:
                assert [row["step"] for row in table()] == list(range(1, complete + 1))
            if rewinds:
                history.rewind(3)
            for step in range(complete + 1, 5):  # the last row is new
                if name == STEPS:
                    history.step(step, 0.5, 0.1, 1.0)
                else:
                    history.evaluation({"step": step, "iou_하늘": 0.5})
            history.flush()
            mended = (tmp_path / name).read_bytes()
            assert mended.startswith(content) and mended.count(b"\n") == content.count(b"\n") + 1
            (tmp_path / name).write_bytes(content)


def test_reading_changes_nothing(tmp_path: Path) -> None:
    fill(history := History(tmp_path), 1, 4)
    history.flush()
    (tmp_path / STEPS).write_bytes((tmp_path / STEPS).read_bytes() + b"5,0.")
    before = contents(tmp_path)
    reader = History(tmp_path)
    assert len(reader.read_steps()) == 4 and len(reader.read_evaluations()) == 2
    assert contents(tmp_path) == before


def test_lines_that_were_spoilt_by_hand_are_left_out(tmp_path: Path) -> None:
    fill(history := History(tmp_path), 1, 4)
    history.flush()
    with open(tmp_path / STEPS, "ab") as file:
        file.write(b"5,1,2\n6,x,0.1,0.1\nsix,1,1,1\n\n\xff\xfe\n" + b'"' + b"y" * 200_000 + b"\n")
    with open(tmp_path / METRICS_JSONL, "ab") as file:
        file.write(b'{"step":\n[1]\nnull\n{"miou": 1}\n' + b"[" * 100_000 + b"\n")
    opened = History(tmp_path)
    assert [row["step"] for row in opened.read_steps()][:5] == [1, 2, 3, 4, 6]
    assert len(opened.read_evaluations()) == 3
    opened.rewind(99)
    assert [row["step"] for row in opened.read_steps()] == [1, 2, 3, 4, 6]
    assert [row["step"] for row in opened.read_evaluations()] == [2, 4]


FULL_DISK = """
import resource, signal, sys
from minisegnet.training.history import History
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
history = History(sys.argv[1])
for step in range(1, 151):
    history.step(step, 0.5, 0.1, 1.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    history.flush()
except OSError as error:
    print(error.errno, error.filename)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
history.flush()
"""


@pytest.mark.skipif(os.name == "nt", reason="file size limits are POSIX's")
def test_a_full_disk_doubles_no_rows(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{errno.EFBIG} {tmp_path / STEPS}\n"
    assert [row["step"] for row in History(tmp_path).read_steps()] == list(range(1, 151))
