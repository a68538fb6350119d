"""``minisegnet check --as-backend``: a learner's kernels in the place of a backend, and what is told of them."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minisegnet import ops, use_backend
from minisegnet.backends import numpy as numpy_kernels
from minisegnet.cli import main
from minisegnet.marking import as_backend, as_backend_child, as_backend_text
from minisegnet.marking.as_backend_child import Side, Trial
from minisegnet.marking.as_backend_kernels import Stopwatch, Unusable, backend
from minisegnet.marking.as_backend_task import LADDERS, MOST, Training, called_by, choose_model, pictures
from minisegnet.marking.contract import RESULTS
from minisegnet.marking.report import Report, Verdict

SOLUTIONS = Path(__file__).parent.parent / "lessons" / "solutions" / "marked"
RIGHT = Report("mine.py", verdicts=(Verdict("relu", "pass"),))
RELU = "import numpy as np\n\n\ndef relu(x):\n    return np.maximum(x, 0)\n"


def with_kernels(**functions):
    return backend(functions, __file__, Stopwatch())


def conv_arguments():
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((4, 3, 3, 2)), rng.standard_normal(4)


# ---------------------------------------------------------------------------------------------------------
# The kernels


def test_a_learners_kernels_serve_and_numpys_fill_the_gaps():
    called = []

    def relu(x):
        called.append("relu")
        return np.maximum(x, 0)

    module, notes = with_kernels(relu=relu)
    x = np.array([[-1.0, 2.0]])
    with use_backend(module):
        assert ops.relu(x).tolist() == [[0, 2]] and ops.softmax(x).shape == x.shape
    assert called == ["relu"] and not notes.lines


def test_a_kernel_may_take_one_number_only_or_pairs_only():
    x, w, b = conv_arguments()

    def numbers(x, w, b=None, *, stride=1, padding=0):
        assert isinstance(stride, int) and isinstance(padding, int)
        return numpy_kernels.conv2d(
            x, w, b, stride=(stride,) * 2, padding=(padding,) * 2, dilation=(1, 1), groups=1
        )

    def pairs(x, w, b, *, stride, padding, dilation, groups):
        (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
        return numpy_kernels.conv2d(
            x, w, b, stride=(sh, sw), padding=(ph, pw), dilation=(dh, dw), groups=groups
        )

    right = ops.conv2d(x, w, b, stride=2, padding=1)
    for kernel in (numbers, pairs):
        with use_backend(with_kernels(conv2d=kernel)[0]):
            assert np.allclose(ops.conv2d(x, w, b, stride=2, padding=1), right)
            assert np.allclose(ops.conv2d(x, w, b), ops.conv2d(x, w, b))
    with use_backend(with_kernels(conv2d=pairs)[0]):
        assert np.allclose(ops.conv2d(x, w, stride=(2, 1)), numpy_kernels.conv2d(
            x, w, None, stride=(2, 1), padding=(0, 0), dilation=(1, 1), groups=1
        ))  # fmt: skip


def test_an_option_that_isnt_taken_is_named_only_where_it_is_needed():
    x, w, b = conv_arguments()

    def conv2d(x, w, b=None, *, padding=0):
        return ops.conv2d(x, w, b, padding=padding)

    module, _ = with_kernels(conv2d=lambda x, w, b=None, *, padding=0: conv2d(x, w, b, padding=padding))
    with use_backend(module), pytest.raises(Unusable, match=r"conv2d doesn't take stride=2.*network needs"):
        ops.conv2d(x, w, b, stride=2)


@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        (lambda x: x[:, :1], r"y has shape \(2, 1\); expected \(2, 3\)"),
        (lambda x: None, "y is None"),
        (lambda x: x.tolist(), "2 values; the network needs 1"),
        (lambda x: "text", "y is of type str"),
        (lambda x: x > 0, "y has dtype bool"),
        (lambda x: x[9], r"raises IndexError.*\n  line \d+"),
        (lambda x: sys.exit(3), "raises SystemExit"),
        (lambda x, slope: x, "can't be called without `slope`"),
    ],
)
def test_what_cannot_be_trained_with_is_told(kernel, told):
    with pytest.raises(Unusable, match=told):
        with use_backend(with_kernels(relu=kernel)[0]):
            ops.relu(np.ones((2, 3)))


def test_too_few_results_are_named():
    module, _ = with_kernels(linear_backward=lambda dy, x, w: (dy @ w, dy.T @ x))
    with (
        use_backend(module),
        pytest.raises(Unusable, match="returns 2 values; the network needs 3: dx, dw, db"),
    ):
        ops.linear_backward(np.ones((1, 2)), np.ones((1, 2)), np.ones((2, 2)))


def test_wrong_values_and_dtypes_are_noted_once_and_go_on():
    module, notes = with_kernels(relu=lambda x: 2 * np.maximum(x, 0).astype(np.float64))
    with use_backend(module):
        for _ in range(3):
            y = ops.relu(np.ones((2, 3), np.float32))
    assert y.dtype == np.float32 and (y == 2).all()
    told = list(notes.lines.values())
    assert len(told) == 2
    assert told[0] == "relu differs from NumPy's: y by up to 1, for x (2, 3)"
    assert "float64 for float32" in told[1]


def test_lists_of_arrays_go_in_and_out():
    solution = {"concat": lambda arrays, *, axis=1: np.concatenate(arrays, axis)}
    solution["concat_backward"] = lambda dy, sizes, *, axis=1: np.split(dy, np.cumsum(sizes)[:-1], axis)
    module, notes = with_kernels(**solution)
    with use_backend(module):
        y = ops.concat([np.ones((1, 1)), np.zeros((1, 2))])
        assert [p.shape for p in ops.concat_backward(y, [1, 2])] == [(1, 1), (1, 2)]
    assert not notes.lines


def test_the_stopwatch_counts_calls_of_both():
    watch = Stopwatch()
    module, _ = backend({"relu": lambda x: np.maximum(x, 0)}, "", watch)
    with use_backend(module):
        for _ in range(3):
            ops.sigmoid(ops.relu(np.ones(2)))
    assert watch.calls == {"relu": 3, "sigmoid": 3} and watch.inside == ""


# ---------------------------------------------------------------------------------------------------------
# The task


@pytest.mark.parametrize("model", LADDERS)
def test_the_kernels_that_a_model_calls_are_those_of_the_table(model):
    side = Side({}, "")
    side.begin(model, LADDERS[model][0], 1)
    side.step()
    assert side.watch.calls.keys() - {"dropout", "dropout_backward"} == called_by(model)
    assert called_by(model) <= set(RESULTS)


def test_the_model_is_the_one_that_calls_most():
    assert choose_model(["relu"]) == "unet"
    assert choose_model(["max_unpool2d", "max_unpool2d_backward", "max_pool2d"]) == "segnet"
    assert choose_model(["crop2d", "crop2d_backward"]) == "fcn8s"
    assert choose_model(["nms", "roi_pool"]) is None


@pytest.mark.parametrize("rung", LADDERS["unet"][:3])
def test_pictures_have_the_size_and_classes_that_the_rung_says(rung):
    images, labels = pictures("test", 16, rung)
    assert images.shape == (16, 3, rung.size, rung.size) and images.dtype == np.float32
    assert labels.shape == (16, rung.size, rung.size) and set(np.unique(labels)) == set(range(rung.classes))
    assert images.min() >= -1 and images.max() <= 1
    assert 0.03 < (labels > 0).mean() < 0.7, "objects and background, both"


def test_the_training_learns():
    with use_backend("numpy"):
        training = Training("unet", LADDERS["unet"][1], 120)
        losses = [training.step() for _ in range(120)]
        assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])
        assert training.miou() > 0.42, "background everywhere gives about 0.4"


# ---------------------------------------------------------------------------------------------------------
# The trial


class FakeTrial(Trial):
    """A trial whose steps cost what a table says, on a clock of its own."""

    def __init__(self, mine, ours, seconds):
        self.told = []
        super().__init__(
            {"conv2d": numpy_kernels.conv2d}, "", 0, lambda event, **f: self.told.append((event, f))
        )
        self.mine_costs, self.ours_cost, self.clock = mine, ours, seconds

    def _left(self):
        return self.clock

    def _measure(self, model, rung):
        costs = self.mine_costs(rung), self.ours_cost
        self.clock -= 3 * sum(costs)
        return costs


@pytest.mark.parametrize(
    ("seconds_of_work", "seconds", "place"),
    [
        (0.0, 120, 4),  # as fast as can be: all but the demo's own size, which takes 600 steps
        (0.0, 1200, 5),
        (1e-5, 120, 3),
        (1e-4, 120, 1),
        (3e-3, 120, 0),
        (1e-4, 10, 0),
    ],
)
def test_the_size_is_what_the_measured_speed_allows(seconds_of_work, seconds, place):
    trial = FakeTrial(lambda rung: seconds_of_work * rung.work + 0.05, 0.15, seconds)
    ladder = LADDERS["unet"]
    rung, costs = trial._climb("unet")
    assert ladder.index(rung) == place
    steps = trial._fitting(rung, *costs)
    assert steps * sum(costs) < trial.clock, "what is planned fits"
    assert place == 0 or steps >= rung.least
    assert place == 5 or steps * sum(costs) > 0.5 * trial.clock or steps > MOST, "and uses the time"


def test_where_not_even_one_step_fits_the_measured_number_is_told():
    trial = FakeTrial(lambda rung: 30.0, 0.1, 60)
    trial.run()
    assert [event for event, _ in trial.told] == ["slow"]
    text = "\n".join(as_backend_text.told({"event": "slow", **trial.told[0][1], "seconds_in_all": 60}))
    assert "a step takes 30.0 s on 8 x 8 pixels" in text and "The 60 seconds aren't enough" in text


@pytest.fixture
def trial(monkeypatch):
    """Try functions at the smallest size for some steps, however slow the machine is."""
    monkeypatch.setitem(LADDERS, "unet", LADDERS["unet"][:1])
    monkeypatch.setattr(as_backend_child, "MOST", 20)

    def run(functions):
        told = []
        end = time.monotonic() + 600
        Trial(functions, __file__, end, lambda event, **f: told.append({"event": event, **f})).run()
        return told

    return run


def test_with_numpys_own_kernels_both_sides_are_equal_to_the_last_bit(trial):
    own = {op: getattr(numpy_kernels, op) for op in sorted(called_by("unet"))}
    told = trial(own)
    chosen, result = (next(e for e in told if e["event"] == name) for name in ("chosen", "result"))
    mine, ours = result["mine"], result["ours"]
    assert result["steps"] == chosen["steps"] == 20
    assert (mine["miou"], mine["first_losses"], mine["last_loss"]) == (
        ours["miou"], ours["first_losses"], ours["last_loss"],
    )  # fmt: skip
    assert {op: calls for op, (_, calls) in mine["kernels"].items()} == {
        op: calls for op, (_, calls) in ours["kernels"].items()
    }
    assert set(mine["kernels"]) == set(own) and not result["notes"]
    text = "\n".join(as_backend_text.told_result(result))
    assert f"mIoU{mine['miou']:>22.3f}{ours['miou']:>10.3f}" in text
    assert "are the same" in text and "NumPy's, as your file has none: none." in text


def test_a_wrong_backward_is_seen_in_the_losses(trial):
    told = trial({"relu_backward": lambda dy, y: 2 * dy, "nms": print})
    text = "\n".join(as_backend_text.told_result(told[-1]))
    assert "differ from step 2 on" in text and "a backward differs" in text
    assert "relu_backward differs from NumPy's: dx by up to" in text
    assert "Not called by this network (unet): nms." in text


def test_a_loss_that_is_nan_ends_it(trial):
    told = trial({"relu": lambda x: x * np.nan})
    assert told[-1]["event"] == "nonfinite" and told[-1]["step"] == 1
    assert "became nan in step 1" in "\n".join(as_backend_text.told(told[-1]))


@pytest.mark.parametrize(
    ("steps", "smallest", "told"),
    [
        (
            0,
            True,
            "Not even one step was done within 9 seconds, on 8 x 8 pixels with 2 pictures, the smallest",
        ),
        (0, False, "The time was over (9 seconds) at 8 x 8 pixels after 0 steps"),
        (1, True, "after 1 step, before anything could be compared. It was in your relu at that moment."),
    ],
)
def test_what_is_told_when_the_time_is_over(steps, smallest, told):
    event = {"event": "late", "seconds_in_all": 9, "steps": steps, "smallest": smallest, "inside": "relu"}
    event["rung"] = LADDERS["unet"][0]._asdict()
    assert told in " ".join(" ".join(as_backend_text.told(event)).split())


# ---------------------------------------------------------------------------------------------------------
# The command


def run(tmp_path, text, capsys, seconds=6.0, report=RIGHT):
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    code = as_backend.run(str(file), seconds, report=report)
    return code, " ".join(capsys.readouterr().out.split())


def test_it_trains_in_a_process_of_its_own(tmp_path, capsys):
    printing = RELU.replace("    return", "    print('x' * 100000)\n    return")
    code, told = run(tmp_path, printing, capsys)
    assert code == 0
    assert "With your kernels a step takes" in told and "mIoU" in told
    assert "your kernels compute what NumPy's do" in told
    assert "NumPy's, as your file has none: batch_norm, batch_norm_backward, concat" in told
    assert "xxx" not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (RELU.replace("x, 0)", "x, 0)[0]"), r"y has shape (1, 8, 8); expected (2, 1, 8, 8)"),
        (
            "def nms(boxes, scores, *, iou_threshold):\n    return boxes\n",
            "none of the demo's networks calls them",
        ),
        ("import os\n\n\ndef relu(x):\n    os._exit(3)\n", "ended by itself (exit code 3)"),
    ],
)
def test_where_it_cannot_go_on_it_says_why(text, told, tmp_path, capsys):
    code, said = run(tmp_path, text, capsys)
    assert code == 1 and told in said
    assert "Traceback" not in said


def test_a_file_that_cannot_be_marked_isnt_tried(tmp_path, capsys):
    code, told = run(tmp_path, "", capsys, report=Report("mine.py", trouble="it is no valid Python"))
    assert code == 1 and told == "It can't be used: it is no valid Python"


def test_it_warns_of_what_did_not_pass(tmp_path, capsys):
    wrong = Report("mine.py", verdicts=(Verdict("relu", "fail"), Verdict("conv2d", "unwritten")))
    stub = RELU + "\n\ndef conv2d(x, w, b=None):\n    raise NotImplementedError\n"
    code, told = run(tmp_path, stub, capsys, report=wrong)
    assert code == 1, "what is wrong stays wrong"
    assert "Warning: relu didn't pass the marking" in told
    assert "mIoU" in told and "concat_backward, conv2d, conv2d_backward" in told, "unwritten: NumPy's"


@pytest.mark.slow
def test_a_loop_without_an_end_is_told_where_it_is(tmp_path, capsys):
    hanging = "def relu(x):\n    while x.size > 100:\n        pass\n    return x\n"
    code, told = run(tmp_path, hanging, capsys, seconds=6)
    assert code == 1 and "Not even one step was done within 6 seconds" in told
    assert "It was in your relu at that moment" in told


@pytest.mark.slow
def test_one_that_lets_nobody_else_run_is_stopped(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(as_backend, "GRACE", 2.0)
    text = 'import re\n\n\ndef relu(x):\n    re.match("(a+)+$", "a" * 60 + "b")\n    return x\n'  # holds the lock
    code, told = run(tmp_path, text, capsys, seconds=2)
    assert code == 1 and "couldn't even say where it was" in told


@pytest.mark.slow
@pytest.mark.parametrize("lesson", ["02_convolution", "05_pool_and_unpool"])
def test_the_solutions_train_as_well_as_numpy(lesson, capsys):
    code = as_backend.run(str(SOLUTIONS / f"{lesson}.py"), 60)  # it needs 10 where nothing else runs
    told = capsys.readouterr().out
    assert code == 0 and "Warning" not in told and "But " not in told
    assert "are the same" in told


@pytest.mark.slow
def test_the_command_marks_first(tmp_path, capsys, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(RELU, encoding="utf-8")
    monkeypatch.setattr(as_backend.run, "__defaults__", (20.0,))  # a busy machine needs some of it to begin
    assert main(["check", "--as-backend", str(file)]) == 0
    told = capsys.readouterr().out
    assert told.index("relu: passes all") < told.index("training the demo's network") < told.index("mIoU")
