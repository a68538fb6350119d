"""The benchmark tool works and refuses to time wrong results. Nothing here asserts a speed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks import cases, machine, measure, report, run
from benchmarks.__main__ import parser
from minisegnet import ops
from minisegnet.backends import numpy as numpy_kernels

ROOT = Path(__file__).parent.parent
SETTINGS = measure.Settings(scale="toy", repeats=3, time_limit=0.1)


def case_of(op: str) -> cases.Case:
    return next(case for case in cases.CASES if case.op == op)


def planted(**kernels) -> ModuleType:
    """A backend that is right but for these kernels."""
    module = ModuleType("planted")
    module.__dict__.update({name: getattr(numpy_kernels, name) for name in numpy_kernels.__all__} | kernels)
    return module


# ---------------------------------------------------------------------------------------------------------
# The table


def test_every_op_with_a_backward_is_measured():
    with_backward = {name for name in ops.__all__ if f"{name}_backward" in ops.__all__}
    assert {case.op for case in cases.CASES} == with_backward | {"adaptive_max_pool2d", "nms"}


def test_quick_keeps_several_kinds_of_op():
    quick = cases.select(None, "quick")
    assert 5 <= len(quick) < len(cases.CASES)
    assert {case.op for case in cases.select(["relu", "nms"], "quick")} == {"relu", "nms"}
    assert cases.select(None) == cases.CASES
    assert [case.name for case in cases.select(["batch_norm"], "toy")] == ["training", "evaluation"]


def test_an_unknown_op_is_named():
    with pytest.raises(ValueError, match=r"no benchmark of conv3d; there are: .*conv2d"):
        cases.select(["conv3d"])


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: f"{case.op}-{case.name}")
def test_a_case_names_its_results_and_fits_its_gradients(case):
    problem = case.problem("toy", "float64")
    with ops.use_backend("numpy"):
        y = problem.forward.run()
        assert len(y) == len(problem.forward.returns)
        assert (problem.backward is None) == (case.op == "nms")
        if problem.backward is None:
            return
        backward = problem.backward(*y)
        gradients = backward.run()
    assert problem.dy.shape == y[0].shape
    assert [g.shape for g in gradients] == [leaf.shape for leaf in problem.leaves]
    assert len(backward.returns) == len(gradients)


def test_work_of_a_convolution_by_hand():
    sizes = {"N": 1, "C": 2, "H": 4, "W": 5, "K": 3, "padding": 1}
    problem = replace(case_of("conv2d"), sizes=sizes).problem("full", "float32")
    # Each of 3*4*5 outputs sums 2*3*3 products: 60 * 18 multiplications and as many additions.
    assert problem.forward.flops == 2160
    assert problem.backward(None).flops == 2 * 2160
    with ops.use_backend("numpy"):
        y = problem.forward.run()
    # x 40 numbers, w 54, b 3, y 60; 4 bytes each. The backward: dy 60, x 40, w 54 and dx 40, dw 54, db 3.
    assert problem.forward.bytes(y) == 4 * (40 + 54 + 3 + 60)
    assert problem.backward(*y).bytes(problem.leaves) == 4 * (60 + 40 + 54 + 40 + 54 + 3)


def test_work_of_a_depthwise_and_a_transposed_convolution_by_hand():
    depthwise = replace(case_of("conv2d"), sizes={"N": 1, "C": 3, "H": 4, "W": 4, "padding": 1})
    assert depthwise.problem("full", "float32").forward.flops == 2 * 3 * 16 * 9
    sizes = {"N": 1, "C": 3, "H": 4, "W": 4, "K": 5, "kernel": 2, "stride": 2}
    transposed = replace(case_of("conv_transpose2d"), sizes=sizes)
    assert transposed.problem("full", "float32").forward.flops == 2 * 3 * 16 * 5 * 4  # no taps overlap


def test_a_crop_moves_only_what_it_keeps():
    crop = replace(case_of("crop2d"), sizes={"N": 1, "C": 1, "H": 6, "W": 6, "border": 1}).problem(
        "full", "float32"
    )
    assert crop.forward.bytes([np.zeros((1, 1, 4, 4), np.float32)]) == 2 * 16 * 4


# ---------------------------------------------------------------------------------------------------------
# Agreement


def test_a_wrong_forward_is_detected_before_timing():
    wrong = planted(relu=lambda x: np.abs(x))
    with pytest.raises(measure.Disagreement, match=r"relu \(map\), forward, toy size: y by planted differs"):
        measure.measure(case_of("relu"), ["numpy", wrong], None, SETTINGS)


def test_a_wrong_backward_is_detected():
    wrong = planted(relu_backward=lambda dy, y: dy.copy())
    with pytest.raises(
        measure.Disagreement, match=r"relu \(map\), backward, toy size: dx by planted differs"
    ):
        measure.measure(case_of("relu"), ["numpy", wrong], None, SETTINGS)


def test_a_wrong_index_is_detected():
    def off_by_one(x, kernel_size, **options):
        y, indices = numpy_kernels.max_pool2d(x, kernel_size, **options)
        indices[0, 0, 0, 0] ^= 1
        return y, indices

    with pytest.raises(measure.Disagreement, match=r"indices by planted differs from reference's in 1 of"):
        measure.measure(case_of("max_pool2d"), ["numpy", planted(max_pool2d=off_by_one)], None, SETTINGS)


def test_what_goes_wrong_only_at_full_size_is_detected():
    def wrong_when_large(x):
        return np.maximum(x, 0) if x.size < 1000 else np.zeros_like(x)

    settings = replace(SETTINGS, scale="quick")
    with pytest.raises(
        measure.Disagreement, match=r"quick size: y by planted differs from numpy's by 1\.00e\+00"
    ):
        measure.measure(case_of("relu"), ["numpy", planted(relu=wrong_when_large)], None, settings)


def test_nan_counts_as_a_disagreement():
    x = np.array([1.0, 2.0])
    with pytest.raises(measure.Disagreement, match="nan"):
        measure.check_agreement("op", ["y"], (x,), (x * np.nan,), "a", "b", "float64")


# ---------------------------------------------------------------------------------------------------------
# A whole run


@pytest.fixture(scope="module")
def record():
    chosen = [case_of(op) for op in ("relu", "max_pool2d", "conv2d", "nms")]
    return run.measure_ops(chosen, ["numpy"], None, SETTINGS, threads=1) | {"command": "a test"}


def test_a_record_says_where_how_and_what(record):
    assert record["machine"]["cpu"] and record["machine"]["versions"]["numpy"] == np.__version__
    assert record["threads"]["asked for"] == 1
    assert [(row["op"], row["direction"]) for row in record["rows"]] == [
        *(("relu", "forward"), ("relu", "backward")),
        *(("max_pool2d", "forward"), ("max_pool2d", "backward")),
        *(("conv2d", "forward"), ("conv2d", "backward"), ("conv2d", "forward+backward")),
        ("nms", "forward"),
    ]
    for row in record["rows"]:
        found = row["results"]["numpy"]
        assert 0 < found["lower_quartile_s"] <= found["median_s"] <= found["upper_quartile_s"]
        assert found["repeats"] == 3 and found["first_call_extra_s"] >= 0
        assert row["bytes"] > 0 and (row["flops"] > 0) == (row["op"] == "conv2d")


def test_a_record_becomes_json_a_page_and_a_picture(record, tmp_path):
    data, page, picture = report.write(record, tmp_path / "new" / "folder", "ops")
    assert json.loads(data.read_text(encoding="utf-8")) == record
    assert (
        sum(line.startswith("| max_pool2d |") for line in page.read_text(encoding="utf-8").splitlines()) == 2
    )
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_speeds_compare_with_the_baseline(record, tmp_path):
    row = record["rows"][0]
    twice = {**row["results"]["numpy"], "median_s": row["results"]["numpy"]["median_s"] / 2}
    compared = record | {
        "runners": ["numpy", "numba"],
        "baseline": "numpy",
        "rows": [row | {"results": row["results"] | {"numba": twice}}],
    }
    assert report.speed(compared, compared["rows"][0], "numba") == pytest.approx(2)
    assert (
        "numba: 2.00 times the speed of numpy (geometric mean of 1 rows, 0 of them slower)"
        in report.summary(compared)
    )
    missing = compared | {"runners": ["numpy", "numba", "torch"], "baseline": "torch"}
    missing["rows"] = [compared["rows"][0] | {"missing": {"torch": "no torchvision"}}]
    assert "no torchvision" in report.table_lines(missing, missing["rows"][0])
    assert len(report.write(missing, tmp_path, "ops")) == 3  # a picture without that bar


def test_rates_and_numbers_read_well():
    assert report.rate({"flops": 3 * 10**9, "bytes": 1}, 0.5) == "6 GFLOP/s"
    assert report.rate({"flops": 0, "bytes": 3 * 10**9}, 2.0) == "1.5 GB/s"
    assert report.rate({"flops": 0, "bytes": 3 * 10**6}, 2.0) == "1.5 MB/s"
    assert [report.three_digits(n) for n in (0.01234, 12.34, 999.4, 999.6, 1234.5)] == [
        *("0.0123", "12.3", "999", "1000", "1234")
    ]


@pytest.mark.skipif(machine.why_no_memory() is not None, reason="peak memory is measured on Linux only")
def test_extra_memory_sees_what_is_freed_again():
    def hold_and_free() -> None:
        np.ones(4_000_000)  # 32 MB

    with machine.ExtraMemory() as memory:
        hold_and_free()
    assert 31e6 < memory.bytes < 36e6  # the system counts in batches of pages


def test_bad_choices_are_explained():
    with pytest.raises(ValueError, match="--backends takes numpy and numba; got 'cupy'"):
        run.choose_backends(["cupy"])
    with pytest.raises(SystemExit):
        parser().parse_args(["ops", "--repeats", "0"])


@pytest.mark.slow
def test_the_command_line(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "ops",
        "--ops",
        "relu",
        "nms",
        "--reference-toy",
        "--no-torch",
    ]
    done = subprocess.run(
        [*command, "--backends", "numpy", "--repeats", "2", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "reference" in done.stdout and "numpy:" in done.stdout
    record = json.loads((tmp_path / "ops.json").read_text(encoding="utf-8"))
    assert record["settings"]["scale"] == "toy" and record["baseline"] == "reference"
    assert record["machine"]["environment"]["OMP_WAIT_POLICY"] == "PASSIVE"
