"""Whole trainings on the device: NumPy's losses, no waiting, the verdict on the device, CUDA graphs."""

import cupy
import numpy as np
import pytest
from training_helpers import StopAfter

from minisegnet import models, nn, ops
from minisegnet.optim import SGD, Adam
from minisegnet.training import NotFinite, Session, Settings, StopRequest
from minisegnet.training.device_steps import TOLD_EVERY, DeviceSteps, GraphSteps
from minisegnet.training.history import History
from minisegnet.training.loop import steps_for, train, train_step

SMALL = Settings(
    data="shapes",
    size=(32, 32),
    crop=(16, 16),
    count=5,  # not a multiple of the batch: batches straddle epochs
    model="unet",
    width=2,
    depth=1,
    steps=6,
    batch=2,
    augment="flip",
    weights="median-frequency",
    evaluate_every=3,
    save_every=4,
    warmup=2,
    threads=0,
)


class Few:
    """The first pictures of a dataset."""

    def __init__(self, dataset):
        self.samples, self.ignore_index = [dataset[i] for i in range(3)], dataset.ignore_index

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, number):
        return self.samples[number]


def trained(settings, run, backend):
    """Train from beginning to end; return the tables of steps and of evaluations, and the session."""
    run.mkdir(parents=True)
    with ops.use_backend(backend):
        session, stop = Session(settings), StopRequest()
        session.validation_set = Few(session.validation_set)
        assert train(session, run, StopAfter(10**9, stop), stop) == "finished"
    return History(run).read_steps(), History(run).read_evaluations(), session


def numbers(rows, name):
    return np.array([row[name] for row in rows])


def batches(session, count):
    return list(session.loader.batches(0, count))


def state(session):
    return {name: ops.to_numpy(array) for name, array in session.model.state_dict().items()}


def assert_same_state(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# ---------------------------------------------------------------------------------------------------------
# The same training as on NumPy


@pytest.mark.parametrize(
    ("loss", "optimizer", "options"),
    [
        ("ce + dice", "adam", {"options": {"dropout": 0.3}}),
        ("lovasz + 0.5*focal", "adamw", {}),
        pytest.param("tversky + bce", "sgd", {"clip": 0.1}, marks=pytest.mark.slow),
        pytest.param(
            "ce", "sgd", {"model": "segnet", "depth": None, "clip": 0.0, "crop": None}, marks=pytest.mark.slow
        ),
        pytest.param("ce", "adam", {"model": "fcn8s", "depth": None, "crop": None}, marks=pytest.mark.slow),
        pytest.param(
            "dice", "adam", {"options": {"padding": "valid"}, "crop": (24, 24)}, marks=pytest.mark.slow
        ),
    ],
)
def test_losses_and_metrics_are_those_of_numpy(loss, optimizer, options, tmp_path):
    settings = SMALL.with_changes(loss=loss, optimizer=optimizer, **options)
    steps, evaluations, session = trained(settings, tmp_path / "numpy", "numpy")
    found, judged, on_device = trained(settings, tmp_path / "cupy", "cupy")
    assert [row["step"] for row in found] == [row["step"] for row in steps]
    np.testing.assert_array_equal(numbers(found, "lr"), numbers(steps, "lr"))
    np.testing.assert_allclose(numbers(found, "loss"), numbers(steps, "loss"), rtol=2e-4)
    np.testing.assert_allclose(numbers(found, "gradient_norm"), numbers(steps, "gradient_norm"), rtol=5e-3)
    np.testing.assert_allclose(numbers(judged, "val_loss"), numbers(evaluations, "val_loss"), rtol=1e-3)
    np.testing.assert_allclose(
        numbers(judged, "pixel_accuracy"), numbers(evaluations, "pixel_accuracy"), atol=0.01
    )
    assert on_device.optimizer.update_counts == session.optimizer.update_counts
    for parameter in on_device.model.parameters():
        assert type(parameter.data) is cupy.ndarray and parameter.data.dtype == np.float32


def test_a_run_goes_on_with_the_other_backend(tmp_path):
    """What a checkpoint holds doesn't depend on where it was computed."""
    with ops.use_backend("cupy"):
        session = Session(SMALL)
        steps = steps_for(session)
        for batch in batches(session, 3):
            steps.make(batch)
        list(steps.told(everything=True))
        arrays, facts = session.state()
    arrays = {name: ops.to_numpy(array) for name, array in arrays.items()}
    losses = {}
    for backend in ("numpy", "cupy"):
        with ops.use_backend(backend):
            again = Session.of_checkpoint(arrays, facts)
            steps = steps_for(again)
            for batch in again.loader.batches(3, 6):
                steps.make(batch)
            losses[backend] = [measured.loss for _, measured in steps.told(everything=True)]
            assert set(again.optimizer.update_counts.values()) == {6}
    np.testing.assert_allclose(losses["cupy"], losses["numpy"], rtol=1e-4)


# ---------------------------------------------------------------------------------------------------------
# No waiting


@pytest.mark.parametrize(
    ("loss", "optimizer"),
    [
        ("ce", "adam"),
        ("bce", "sgd"),
        ("dice", "adamw"),
        ("focal", "sgd"),
        ("tversky", "adam"),
        ("lovasz", "adam"),
    ],
)
def test_a_step_waits_for_nothing(loss, optimizer, on_device, waits):
    session = Session(SMALL.with_changes(loss=loss, optimizer=optimizer, options={"dropout": 0.3}))
    steps, given = steps_for(session), batches(session, 3)
    for batch in given:
        waits.clear()
        steps.make(batch)
        assert waits == []
        assert list(steps.told(everything=False)) == [] and waits == []
    assert len(list(steps.told(everything=True))) == 3 and len(waits) <= 3
    waits.clear()
    train_step(session, given[0])
    assert waits, "this one looks at the loss: the counter would notice"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in models.names() if name != "patch"])
def test_no_model_waits(name, on_device, waits):
    changes = {"depth": None} if name != "unet" else {}
    session = Session(SMALL.with_changes(model=name, crop=(32, 32), **changes))
    steps, (batch,) = steps_for(session), batches(session, 1)
    waits.clear()
    steps.make(batch)
    assert waits == []


def test_losses_are_told_at_intervals(on_device, monkeypatch):
    session = Session(SMALL)
    steps = steps_for(session)
    monkeypatch.setattr(steps, "_step", lambda images, labels: None)  # a step that takes no time
    told = []
    for _ in range(TOLD_EVERY + 2):
        steps.make(session.loader.batch(0))
        told.append([step for step, _ in steps.told(everything=False)])
    assert told == [*([[]] * (TOLD_EVERY - 1)), list(range(1, TOLD_EVERY + 1)), [], []]
    assert [step for step, _ in steps.told(everything=True)] == [TOLD_EVERY + 1, TOLD_EVERY + 2]


# ---------------------------------------------------------------------------------------------------------
# What goes wrong


@pytest.mark.parametrize(("steps_class", "optimizer"), [(DeviceSteps, "adam"), (GraphSteps, "sgd")])
def test_after_nan_nothing_changes_any_more(optimizer, steps_class, on_device):
    settings = SMALL.with_changes(optimizer=optimizer)
    reference, session = Session(settings), Session(settings)
    good = batches(session, 7)
    expected = steps_class(reference)
    for batch in good[:5]:
        expected.make(batch)
    list(expected.told(everything=True))

    bad = good[5]._replace(images=good[5].images.copy())
    bad.images[1, 0, 3, 3] = np.nan
    session.loader.batch = lambda step: bad if step == 5 else good[step]
    steps = steps_class(session)
    for batch in [*good[:5], bad, good[6]]:
        steps.make(batch)
    told = []
    with pytest.raises(NotFinite, match=r"step 6: .*picture 1 of the batch.* has 1 NaN"):
        for step, measured in steps.told(everything=True):
            told.append((step, measured.loss))
    assert [step for step, _ in told] == [1, 2, 3, 4, 5] and np.isfinite([loss for _, loss in told]).all()
    assert session.progress.step == 5
    assert_same_state(state(session), state(reference))
    assert session.optimizer.update_counts == reference.optimizer.update_counts
    for name, array in session.optimizer.state_dict().items():
        other = reference.optimizer.state_dict()[name]
        if hasattr(array, "shape"):
            np.testing.assert_array_equal(ops.to_numpy(array), ops.to_numpy(other), err_msg=name)


def test_a_bad_label_is_told_with_its_step_and_changes_nothing(on_device):
    session = Session(SMALL)
    good = batches(session, 3)
    bad = good[1]._replace(labels=good[1].labels.copy())
    bad.labels[0, 0, 0] = 77
    steps = steps_for(session)
    steps.make(good[0])
    list(steps.told(everything=True))
    before = state(session)
    steps.make(bad)
    steps.make(good[2])
    with pytest.raises(
        ValueError, match=r"step 2: softmax_cross_entropy.*a label outside the classes.*ignore_index"
    ):
        list(steps.told(everything=True))
    assert session.progress.step == 1
    assert_same_state(state(session), before)  # and the flag is down again: to_numpy doesn't raise
    steps.make(good[1])
    assert np.isfinite([measured.loss for _, measured in steps.told(everything=True)]).all()


# ---------------------------------------------------------------------------------------------------------
# CUDA graphs


@pytest.mark.parametrize(
    ("optimizer", "loss", "model"),
    [
        ("adam", "ce + dice", "unet"),
        pytest.param("sgd", "lovasz", "unet", marks=pytest.mark.slow),
        pytest.param("sgd", "lovasz", "segnet", marks=pytest.mark.slow),
        pytest.param("adamw", "focal + bce", "fcn8s", marks=pytest.mark.slow),
    ],
)
def test_a_recorded_step_gives_the_plain_ones_losses(optimizer, loss, model, on_device, tmp_path):
    settings = SMALL.with_changes(
        optimizer=optimizer, loss=loss, model=model, depth=1 if model == "unet" else None, steps=9
    )
    if model != "unet":
        settings = settings.with_changes(crop=None, options={"dropout": 0.0} if model == "fcn8s" else {})
    plain, evaluated, session = trained(settings, tmp_path / "plain", "cupy")
    found, judged, recorded = trained(settings.with_changes(cuda_graph=True), tmp_path / "graph", "cupy")
    assert found == plain and judged == evaluated, "the same kernels on the same numbers: the same bits"
    assert_same_state(state(recorded), state(session))
    assert recorded.optimizer.update_counts == session.optimizer.update_counts


def test_a_repeated_step_starts_no_kernels_from_python(on_device):
    session = Session(SMALL.with_changes(steps=9, cuda_graph=True))
    steps, started = steps_for(session), []
    assert type(steps) is GraphSteps
    for batch in batches(session, 7):
        before = len(cupy.device.launches)
        steps.make(batch)
        started.append(len(cupy.device.launches) - before)
    assert min(started[:4]) > 20 and started[4:] == [0, 0, 0]


class ReadsTheBatchItself(GraphSteps):
    """Wrong: the recorded step reads the batch with which it was recorded."""

    def _placed(self, images, labels):
        return images, labels


class ForgetsItsPool(GraphSteps):
    """Wrong: the recorded step's memory goes back to the pool for all."""

    def _private_memory(self):
        return self._queue()


class RateOfTheHost(GraphSteps):
    """Wrong: the rate is that of the step that was recorded."""

    def __init__(self, session):
        super().__init__(session)
        self.updates.set_rates = lambda: None
        self.updates.step = lambda loss, buffers, step=self.updates.step: (
            type(self.updates).set_rates(self.updates),
            step(loss, buffers),
        )


@pytest.mark.parametrize(
    ("wrong", "because"),
    [
        (ReadsTheBatchItself, "went back to a pool"),
        (RateOfTheHost, "losses"),
        (ForgetsItsPool, "went back to a pool"),
    ],
)
def test_a_graph_made_wrongly_would_be_noticed(wrong, because, on_device):
    losses = []
    for steps_class in (DeviceSteps, wrong):
        session = Session(SMALL.with_changes(steps=9))
        steps = steps_class(session)
        try:
            for batch in batches(session, 7):
                steps.make(batch)
        except RuntimeError as error:
            assert steps_class is wrong and because in str(error)
            return
        losses.append([measured.loss for _, measured in steps.told(everything=True)])
    assert because == "losses" and np.isfinite(losses).all()
    assert losses[0][:4] == losses[1][:4] and losses[0][4:] != losses[1][4:]


def test_batches_of_another_size_are_refused(on_device):
    session = Session(SMALL.with_changes(cuda_graph=True))
    steps, (batch,) = steps_for(session), batches(session, 1)
    steps.make(batch)
    with pytest.raises(ValueError, match="batches of one size: give --crop"):
        steps.make(batch._replace(images=batch.images[:1], labels=batch.labels[:1]))


def test_dropout_is_refused(on_device):
    with pytest.raises(ValueError, match=r"unet has dropout .*depends on the number of the step"):
        Session(SMALL.with_changes(options={"dropout": 0.3}, cuda_graph=True))


# ---------------------------------------------------------------------------------------------------------
# Optimisers by hand


@pytest.mark.parametrize(
    "make", [lambda p: Adam(p, lr=0.1, weight_decay=0.1), lambda p: SGD(p, lr=0.1, momentum=0.9)]
)
def test_a_loop_of_ones_own_works_on_the_device_too(make, on_device):
    """``step()`` and ``clip_gradients`` without the machinery of the training loop."""
    from minisegnet.optim import clip_gradients

    start, gradient = np.linspace(-1, 1, 6), np.linspace(3, -1, 6)
    results = []
    for move in (np.array, lambda a: ops.to_backend(np.array(a))):
        w = nn.Parameter(move(start))
        optimizer = make([w])
        for _ in range(3):
            w.grad = move(gradient)
            norm = clip_gradients([w], 1.0)
            optimizer.step()
        results.append((norm, ops.to_numpy(w.data)))
    np.testing.assert_allclose(results[1][0], results[0][0])
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-12)
