"""Whole networks side by side: wrong results are refused, goals and ratios are right. Nothing here asserts a speed."""

import json

import numpy as np
import pytest

from benchmarks import (
    cases,
    contenders,
    goals,
    machine,
    measure,
    models,
    models_report,
    networks,
    roofline,
    step_memory,
)
from benchmarks.__main__ import parser
from benchmarks.contenders import Outcome

UNET = networks.NETWORKS[0]._replace(width=2)
SETTINGS = measure.Settings(scale="quick", repeats=2, time_limit=0.1)


def small_task(network=UNET, batch=2, size=(32, 32)):
    return networks.task(network, batch, size)


# ---------------------------------------------------------------------------------------------------------
# Goals


def test_every_goal_of_an_op_belongs_to_a_case():
    for (op, case), directions in goals.OPS.items():
        fitting = [c for c in cases.CASES if c.op == op and c.name.startswith(case)]
        assert fitting, f"no case of {op} is named {case!r}"
        for direction in directions:
            assert direction in measure.directions(fitting[0].problem("toy", "float32")), (op, direction)


def test_the_longest_name_decides_on_a_goal():
    assert goals.of_op("conv2d", "3x3, 64 to 64", "forward") == 1.8
    assert goals.of_op("conv2d", "3x3, 16 to 16", "forward+backward") == 1.4
    assert goals.of_op("conv2d", "3x3 stride 2", "forward") == 1.05
    assert goals.of_op("conv2d", "3x3, 64 to 64", "backward") is None  # wanted of both together
    assert goals.of_op("batch_norm", "training", "forward") is None
    assert goals.of_op("batch_norm_relu", "training", "backward") == 1.8


def test_goals_of_networks():
    step, inference = goals.STEP, goals.INFERENCE
    assert goals.of_network(step, goals.ORDINARY, "unet") == [("torch", 1.8), (goals.FASTEST, 1.3)]
    assert goals.of_network(step, goals.ORDINARY, "segnet") == [("torch", 1.5)]
    assert goals.of_network(inference, goals.ORDINARY, "fcn8s") == [("torch", 1.7), ("onnxruntime", 1.0)]
    for situation in networks.SITUATIONS[1:]:
        assert goals.of_network(step, situation.name, "unet") == [("torch", 1.0)]
    assert networks.SITUATIONS[0].name == goals.ORDINARY
    assert goals.verdict(1.79, 1.8) == "1.8x missed" and goals.verdict(1.8, 1.8) == "1.8x met"


# ---------------------------------------------------------------------------------------------------------
# The work of both passes, and the roofline


def test_work_of_both_passes_is_the_sum():
    problem = next(c for c in cases.CASES if c.op == "conv2d").problem("toy", "float32")
    saved = problem.forward.run()
    gradients = problem.backward(*saved).run()
    forward = measure.work(problem, "forward", saved, saved)
    backward = measure.work(problem, "backward", saved, gradients)
    both = measure.work(problem, "forward+backward", saved, gradients)
    assert both == (forward[0] + backward[0], forward[1] + backward[1]) and both[0] == 3 * forward[0]


def test_the_share_of_the_roofline_by_hand():
    limits = roofline.Machine(flops=100.0, bandwidth=10.0)
    # 50 operations need half a second, 20 bytes two; it took four.
    case = next(c for c in cases.CASES if c.op == "relu")
    assert measure._share(limits, {"flops": 50, "bytes": 20}, 4.0) == 0.5
    rows = measure.measure(case, ["numpy"], None, measure.Settings(scale="toy", repeats=1), limits)
    assert rows[0]["results"]["numpy"]["roofline_share"] > 0


def test_the_peak_is_measured_by_a_loop_that_computes_what_it_should():
    pytest.importorskip("numba")
    from benchmarks import peak_kernel

    results = np.zeros((2, peak_kernel.CHAINS, peak_kernel.LANES), np.float32)
    peak_kernel.multiply_and_add(results, np.array([0.5, 3.0], np.float32), 2)
    assert (results == 4.5).all()  # 0 to 3, to 0.5 * 3 + 3
    assert roofline.first_touch(2**20) >= 0
    assert roofline.wake_up(1) is None and roofline.wake_up(2, tries=2) >= 0


def test_the_disguises_of_openblas_are_removed_and_recorded(monkeypatch):
    for name in (*machine.THREAD_VARIABLES, *machine.WAITING, *machine.DISGUISES):
        monkeypatch.setenv(name, "1")  # and put back after the test
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr(machine, "_removed", {})
    with machine.set_threads(2, cold=False):
        about = machine.describe()
    assert about["removed from the environment"]["OPENBLAS_CORETYPE"] == "Haswell"
    assert "OPENBLAS_CORETYPE" not in about["environment"]


# ---------------------------------------------------------------------------------------------------------
# Agreement


class Altered(contenders.Ours):
    """NumPy, but with something wrong."""

    def __init__(self, task, alter):
        super().__init__("numpy", task)
        self.name, self.alter = "altered", alter

    def context(self):
        from minisegnet import ops

        return ops.use_backend("numpy")

    def scores(self):
        return self.alter(Outcome(super().scores(), None, {})).scores

    def outcome(self):
        return self.alter(super().outcome())


def scaled_gradient(outcome):
    gradients = dict(outcome.gradients)
    gradients["head.weight"] = gradients["head.weight"] * 1.5
    return outcome._replace(gradients=gradients)


WRONG = {
    "scores": (goals.INFERENCE, lambda o: o._replace(scores=o.scores[:, ::-1])),
    "loss": (goals.STEP, lambda o: o._replace(loss=o.loss and o.loss * 1.001)),
    "gradients": (goals.STEP, scaled_gradient),
    "NaN": (goals.INFERENCE, lambda o: o._replace(scores=o.scores * np.nan)),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_results_are_refused(what):
    kind, alter = WRONG[what]
    task = small_task()
    both = [contenders.Ours("numpy", task), Altered(task, alter)]
    with pytest.raises(measure.Disagreement, match="by altered differs from numpy's"):
        models.agreement(kind, both, models.ROUNDED, "test")
    both = [contenders.Ours("numpy", task), Altered(task, lambda outcome: outcome)]
    assert models.agreement(kind, both, models.EXACT, "test")["altered"]["scores"] == 0


def test_a_gradient_that_is_missing_is_refused():
    def without_head(outcome):
        return outcome._replace(gradients={n: g for n, g in outcome.gradients.items() if "head" not in n})

    task = small_task()
    with pytest.raises(measure.Disagreement, match=r"head\.weight"):
        models.agreement(
            goals.STEP, [contenders.Ours("numpy", task), Altered(task, without_head)], models.ROUNDED, "test"
        )


def test_every_weight_takes_part():
    for network in networks.NETWORKS:
        outcome = contenders.Ours("numpy", small_task(network._replace(width=2), size=(64, 64))).outcome()
        for name, gradient in outcome.gradients.items():
            assert np.any(gradient), f"{network.name}: no gradient arrives at {name}"


def test_the_same_weights_and_pictures_for_everybody():
    one, other = small_task(), small_task()
    assert all(np.array_equal(one.state[name], other.state[name]) for name in one.state)
    assert np.array_equal(one.images, other.images) and np.array_equal(one.labels, other.labels)
    assert small_task(size=(97, 131)).images.shape == (2, 3, 112, 144)  # a U-Net's sides: multiples of 16


@pytest.mark.parametrize("network", networks.NETWORKS, ids=lambda network: network.name)
def test_the_twins_compute_the_same(network):
    pytest.importorskip("torch")
    models.agree_in_float64(network._replace(width=2), set())


def test_a_wrong_twin_is_found(monkeypatch):
    pytest.importorskip("torch")
    from benchmarks import twins

    class Wrong(twins.SegNet):
        def forward(self, x):
            return super().forward(x) + 1e-6 * x[:, :1]

    monkeypatch.setitem(twins.TWINS, "segnet", Wrong)
    with pytest.raises(measure.Disagreement, match="segnet in float64, inference: scores by torch"):
        models.agree_in_float64(networks.NETWORKS[1]._replace(width=2), set())


# ---------------------------------------------------------------------------------------------------------
# Who is there


def test_who_is_missing_is_told_why(monkeypatch):
    def refuse(task):
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setattr(contenders, "why_not", lambda name: None)
    monkeypatch.setattr(
        contenders,
        "makers",
        lambda backends, threads: {"numpy": lambda t: contenders.Ours("numpy", t), "torch": refuse},
    )
    there, missing = models.gather(small_task(), ["numpy"], set(), networks.SITUATIONS[0], 1)
    assert [c.name for c in there] == ["numpy"] and missing == {"torch": "RuntimeError: no compiler"}
    with pytest.raises(RuntimeError, match="no compiler"):  # our own failure is no reason to go on
        models.gather(small_task(), ["numpy", "torch"], set(), networks.SITUATIONS[0], 1)
    _, missing = models.gather(small_task(), ["numpy"], {"torch"}, networks.SITUATIONS[0], 1)
    assert missing == {"torch": "left out"}


def test_compiling_needs_a_compiler(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert "C++ compiler" in contenders.why_not("torch compiled")
    assert contenders.why_not("torch") is None


# ---------------------------------------------------------------------------------------------------------
# A whole run


@pytest.fixture(scope="module")
def record():
    options = parser().parse_args(["models", "--quick", "--threads", "1", "--repeats", "2"])
    made = models.new_record(options, ["models", "--quick"], ["numpy", "onnxruntime"], "quick")
    task = networks.task(UNET, 1, (32, 32))
    there = [contenders.Ours("numpy", task)]
    for kind in models.PASSES:
        made["rows"].append(
            models.measured_row(
                kind, task, networks.SITUATIONS[0], there, {"onnxruntime": "not here"}, SETTINGS
            )
        )
    return made


def test_a_record_says_who_took_how_long(record):
    assert [row["pass"] for row in record["rows"]] == ["inference", "training step"]
    for row in record["rows"]:
        found = row["results"]["numpy"]
        assert 0 < found["lower_quartile_s"] <= found["median_s"] <= found["upper_quartile_s"]
        assert row["parameters"] == contenders.Ours("numpy", small_task()).model.parameter_count()


def test_a_record_becomes_json_a_page_and_a_picture(record, tmp_path):
    data, page, picture = models_report.write(record, tmp_path)
    assert json.loads(data.read_text(encoding="utf-8")) == record
    text = page.read_text(encoding="utf-8")
    assert "not here" in text and "| training step |" in text
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def made_up(*, threads=2, **milliseconds):
    names = {"last": "torch channels_last"}
    results = {
        names.get(name, name): {
            "median_s": ms / 1e3,
            "lower_quartile_s": ms / 1e3,
            "upper_quartile_s": ms / 1e3,
        }
        for name, ms in milliseconds.items()
    }
    row = {
        "network": "unet", "width": 16, "parameters": 2_000_000, "pass": goals.STEP, "situation": goals.ORDINARY,
        "shape": [8, 3, 128, 128], "results": results, "missing": {},
    }  # fmt: skip
    record = {
        "settings": {"dtype": "float32", "scale": "full"},
        "threads": {"asked for": threads},
        "runners": list(results),
        "rows": [row],
    }
    return record, row


def test_ratios_are_their_time_over_ours():
    record, row = made_up(numba=100, torch=170, last=140)
    assert models_report.ratio(record, row, "torch") == pytest.approx(1.7)
    assert models_report.ratio(record, row, goals.FASTEST) == pytest.approx(1.4)
    assert models_report.ratio(record, row, "onnxruntime") is None
    assert (
        models_report.summary(record)
        == "goals: 1 of 2 met; unet, training step, batch 8, 128 x 128: 1.70x of 1.8x over torch"
    )
    cells = models_report.cells(record, row, "torch channels_last")
    assert "1.40x as fast" in cells and "fastest PyTorch: 1.3x met" in cells
    assert "1.8x missed" in models_report.cells(record, row, "torch")


def test_goals_are_about_two_threads():
    record, row = made_up(threads=1, numba=100, torch=170)
    assert models_report.verdicts(record, row) == []
    assert "2 threads" in models_report.summary(record)


@pytest.mark.skipif(machine.why_no_memory() is not None, reason="peak memory is measured on Linux only")
def test_memory_of_a_step_counts_what_is_kept():
    _, situations = networks.at_scale(networks.NETWORKS, networks.SITUATIONS, "quick")
    (H, W), N = situations[0].size, situations[0].batch
    kept = (
        4 * N * H * W * 4 * 4
    )  # U-Net of width 4: at least four maps of the first level wait for the backward
    assert step_memory.peak("numpy", "unet", goals.STEP, "quick", 1) > kept
