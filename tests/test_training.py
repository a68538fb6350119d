"""The training loop: it learns, it resumes bit for bit, it stops before a bad step, it never loses what it saved."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from training_helpers import TINY, last_bytes, train_for, trained

import minisegnet
from minisegnet import ops
from minisegnet.data import Synthetic
from minisegnet.training import checkpoint, resume, start
from minisegnet.training.display import Display
from minisegnet.training.history import History
from minisegnet.training.loop import NotFinite, improved, labels_seen, train_step
from minisegnet.training.run_folder import BEST, LAST
from minisegnet.training.session import Session, cost_of_evaluation, steps_between_evaluations
from minisegnet.training.settings import as_toml

QUIET = Display(quiet=True)


# ---------------------------------------------------------------------------------------------------------
# Resume


def resumed(run):
    """Bring a session back from its last checkpoint."""
    return Session.of_checkpoint(*checkpoint.load(run / LAST))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_run_that_was_stopped_anywhere_ends_bit_for_bit_as_if_it_never_had(fast, optimizer, tmp_path):
    settings = TINY.with_changes(optimizer=optimizer)
    whole = trained(settings, tmp_path / "whole")
    for steps in range(settings.steps):
        run = tmp_path / f"stopped-after-{steps}"
        if steps:
            assert train_for(steps, Session(settings), run) == "interrupted"
        else:  # killed before the first step was made
            run.mkdir()
            checkpoint.save(run / LAST, *Session(settings).state())
        assert train_for(10**9, resumed(run), run) == "finished"
        assert last_bytes(run) == whole, f"stopped after step {steps}"
        assert (run / BEST).read_bytes() == (tmp_path / "whole" / BEST).read_bytes()


def test_a_run_stopped_at_every_step_ends_as_one_that_was_not(tmp_path):
    with ops.use_backend("numpy"):
        whole = trained(TINY, tmp_path / "whole")
        run = tmp_path / "pieces"
        session = Session(TINY)
        for steps in range(1, TINY.steps):
            assert train_for(steps, session, run) == "interrupted"
            session = resumed(run)
        assert train_for(10**9, session, run) == "finished"
    assert last_bytes(run) == whole
    pieces, straight = History(run), History(tmp_path / "whole")
    assert pieces.read_steps() == straight.read_steps()
    assert [row["miou"] for row in pieces.read_evaluations()] == [
        row["miou"] for row in straight.read_evaluations()
    ]


def test_number_of_threads_and_how_often_is_saved_change_nothing(tmp_path):
    arrays = []
    with ops.use_backend("numpy"):
        for i, changes in enumerate([{}, {"threads": 0}, {"threads": 5}, {"save_every": 1}]):
            trained(TINY.with_changes(**changes), tmp_path / str(i))
            arrays.append(checkpoint.load(tmp_path / str(i) / LAST).arrays)
    for other in arrays[1:]:
        assert all(np.array_equal(arrays[0][name], other[name]) for name in arrays[0])


TRAIN_AND_HASH = """
import hashlib, sys
from pathlib import Path
from training_helpers import TINY, trained
print(hashlib.sha256(trained(TINY.with_changes(width=9, size=(64, 64), steps=3), Path(sys.argv[1]))).hexdigest())
"""


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_same_bits_for_any_number_of_threads_of_the_kernels(backend, tmp_path):
    hashes = set()
    for threads in ("1", "2", "3"):
        environment = {
            "MINISEGNET_BACKEND": backend,
            "NUMBA_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "PYTHONPATH": os.pathsep.join(
                [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
            ),
        }
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", TRAIN_AND_HASH, str(tmp_path / threads)],
            capture_output=True,
            text=True,
            env=os.environ | environment,
            check=True,
            timeout=300,
        )
        hashes.add(ran.stdout)
    assert len(hashes) == 1


def test_resume_refuses_data_with_other_classes(tmp_path):
    with ops.use_backend("numpy"):
        session = Session(TINY)
        arrays, facts = session.state()
        with pytest.raises(ValueError, match="give it the data that it began with"):
            session.restore(arrays, {**facts, "class_names": ["a", "b"]})


# ---------------------------------------------------------------------------------------------------------
# Steps


def test_a_step_with_infinite_gradients_changes_nothing_and_names_the_layer(tmp_path):
    with ops.use_backend("numpy"):
        session = Session(TINY)
        session.model.bottom[0].weight.data[:] = 3e38  # overflows in the convolution
        before = session.state()[0]
        with pytest.raises(NotFinite, match="bottom") as error:
            train_step(session, session.loader.batch(0))
        after = session.state()[0]
    assert "step 1: the loss is" in str(error.value)
    assert "The step was not made" in str(error.value)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert session.progress.step == 0
    assert all(parameter.grad is None for parameter in session.model.parameters())


def test_the_checkpoint_after_a_bad_step_holds_the_state_before_it(tmp_path):
    with ops.use_backend("numpy"):
        session = Session(TINY.with_changes(lr=1e30, clip=0, schedule="constant", warmup=0))
        with pytest.raises(NotFinite):
            train_for(10**9, session, tmp_path)
        arrays, facts = checkpoint.load(tmp_path / LAST)
    assert facts["step"] == session.progress.step >= 1
    model = {name: array for name, array in arrays.items() if name.startswith("model.")}
    assert all(np.isfinite(array).all() for array in model.values())


def test_labels_are_cut_to_what_valid_convolutions_see():
    labels = np.arange(36).reshape(1, 6, 6)
    assert labels_seen(labels, (2, 4)).tolist() == [[[13, 14, 15, 16], [19, 20, 21, 22]]]
    assert labels_seen(labels, (6, 6)).shape == (1, 6, 6)


def test_a_model_of_valid_convolutions_is_trained_and_predicts_the_whole_picture(tmp_path):
    settings = TINY.with_changes(options={"padding": "valid"}, steps=2)
    with ops.use_backend("numpy"):
        result = start(settings, QUIET, out=tmp_path)
        image = np.zeros((33, 41, 3), np.uint8)
        assert minisegnet.load(result.run).predict(image).shape == (33, 41)


def test_a_model_without_a_label_for_each_pixel_is_refused():
    with pytest.raises(
        ValueError, match=r"patch gives .* labels for a picture of .*, not one for each pixel"
    ):
        Session(TINY.with_changes(model="patch", depth=None, options={}, crop=64))


def test_the_best_is_noted_and_nan_never_is():
    session = Session(TINY)
    progress = session.progress
    assert improved(session, float("nan"))  # the first is kept, whatever it is
    progress.step = 1
    assert improved(session, 0.5)
    assert not improved(session, 0.5) and not improved(session, float("nan"))
    assert (progress.best_miou, progress.best_step, progress.evaluations_since_best) == (0.5, 1, 2)


def test_patience_ends_a_training_that_does_not_get_better(tmp_path):
    settings = TINY.with_changes(lr=1e-12, steps=40, patience=2, evaluate_every=1)
    with ops.use_backend("numpy"):
        session = Session(settings)
        assert train_for(10**9, session, tmp_path) == "no progress"
        assert session.progress.step < 40
        assert train_for(10**9, resumed(tmp_path), tmp_path) == "no progress"  # and so it stays


# ---------------------------------------------------------------------------------------------------------
# Runs


def test_a_run_has_all_its_files_and_never_overwrites(tmp_path):
    with ops.use_backend("numpy"):
        results = [start(TINY, QUIET, out=tmp_path) for _ in range(2)]
    assert [result.run.name for result in results] == ["shapes-unet", "shapes-unet-2"]
    names = {
        "best.safetensors", "last.safetensors", "settings.toml", "metrics.csv", "metrics.jsonl", "steps.csv",
        "curves.png", "samples.png", "confusion.png", "report.json",
    }  # fmt: skip
    for result in results:
        assert names <= {path.name for path in result.run.iterdir()}
        assert {path.name for path in result.run.iterdir()} - names <= {".lock"}
    assert last_bytes(results[0].run) == last_bytes(results[1].run)
    report = json.loads((results[0].run / "report.json").read_text())
    assert report["miou"] == results[0].evaluation.report().miou
    assert report["split"] == results[0].split == "test"


def test_predict_needs_nothing_but_the_checkpoint(tmp_path):
    with ops.use_backend("numpy"):
        result = start(TINY, QUIET, out=tmp_path)
        moved = tmp_path / "alone.safetensors"
        (result.run / BEST).rename(moved)
        image = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
        predictor = minisegnet.load(moved)
        labels, probabilities = predictor.predict(image), predictor.probabilities(image)
    assert labels.shape == (40, 70) and labels.dtype == np.uint8
    assert np.array_equal(probabilities.argmax(axis=0), labels)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, rtol=1e-5)
    assert predictor.class_names[0] == "background"


def test_resume_of_a_finished_run_says_the_same_again(tmp_path):
    with ops.use_backend("numpy"):
        result = start(TINY, QUIET, out=tmp_path)
        before = last_bytes(result.run)
        again = resume(result.run, QUIET)
        assert last_bytes(result.run) == before
        assert again.evaluation.report().miou == result.evaluation.report().miou
        longer = resume(result.run, QUIET, steps=8)
    assert longer.outcome == "finished"
    assert checkpoint.load(result.run / LAST).facts["step"] == 8


def test_a_time_becomes_a_number_of_steps_that_is_written_down(tmp_path):
    with ops.use_backend("numpy"):
        result = start(TINY.with_changes(steps=None, seconds=0.5), QUIET, out=tmp_path)
    settings = checkpoint.load(result.run / LAST).facts["settings"]
    assert settings["steps"] >= 1 and "seconds" not in settings
    assert dataclasses.asdict(TINY).keys() >= settings.keys()


def test_epochs_become_steps():
    session = Session(TINY.with_changes(steps=None, epochs=2.0))
    assert session.steps == 5  # 2 epochs of 5 pictures in batches of 2


CTRL_C = """
import os, signal, sys
from training_helpers import TINY
from minisegnet.cli import main
from minisegnet.training.display import Display

def step(self, step, steps, measured, real=Display.step):
    if step == 3:
        os.kill(os.getpid(), int(sys.argv[1]))
    real(self, step, steps, measured)

Display.step = step
sys.exit(main(["train", "--config", sys.argv[2], "--out", sys.argv[3], "--backend", "numpy"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(number, tmp_path):
    config = tmp_path / "a.toml"
    config.write_text(as_toml(TINY.as_dict()))
    here = os.path.dirname(__file__)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", CTRL_C, str(int(number)), str(config), str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([here, os.path.dirname(here)])},
        check=False,
        timeout=120,
    )
    assert ran.returncode == 130, ran.stderr
    run = tmp_path / "runs" / "shapes-unet"
    assert ran.stdout.rstrip().endswith(f"minisegnet train --resume {run}")
    assert checkpoint.load(run / LAST).facts["step"] == 3
    with ops.use_backend("numpy"):
        resume(run, QUIET)
        whole = trained(TINY, tmp_path / "whole")
    assert last_bytes(run) == whole


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
from training_helpers import TINY
from minisegnet.cli import main
from minisegnet.training.display import Display

def step(self, step, steps, measured):
    if step == 4:  # nothing larger than this can be written from now on
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
Display.step = step
sys.exit(main(["train", "--config", sys.argv[1], "--out", sys.argv[2], "--backend", "numpy"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk_leaves_the_last_checkpoint_and_no_rubbish(tmp_path):
    config = tmp_path / "a.toml"
    config.write_text(as_toml(TINY.as_dict()))
    here = os.path.dirname(__file__)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", DISK_FULL, str(config), str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([here, os.path.dirname(here)])},
        check=False,
        timeout=120,
    )
    assert ran.returncode == 1, ran.stderr
    assert "safetensors" in ran.stderr and len(ran.stderr.splitlines()) == 1
    run = tmp_path / "runs" / "shapes-unet"
    assert checkpoint.load(run / LAST).facts["step"] == 3
    assert not [path for path in run.iterdir() if path.suffix == ".tmp"]
    with ops.use_backend("numpy"):
        resume(run, QUIET)  # there is room again
        whole = trained(TINY, tmp_path / "whole")
    assert last_bytes(run) == whole


def test_large_pictures_are_evaluated_seldom() -> None:
    """Else most of the time would go into looking, and little into learning."""
    small, large = Synthetic("cells", count=8, size=(32, 32)), Synthetic("cells", count=8, size=(320, 320))
    assert cost_of_evaluation(small, (32, 32), 8) == pytest.approx(1 / 3)
    assert cost_of_evaluation(large, (32, 32), 8) == pytest.approx(100 / 3)
    assert cost_of_evaluation(small, None, 8) == pytest.approx(1 / 3)
    assert steps_between_evaluations(1000, count=32, batch=8, cost=1 / 3) == 50
    assert steps_between_evaluations(1000, count=32, batch=8, cost=100 / 3) == 100
    assert steps_between_evaluations(40, count=32, batch=8, cost=100 / 3) == 10
    assert steps_between_evaluations(1, count=32, batch=8, cost=100 / 3) == 1
