"""Planted illnesses are named, and healthy set-ups aren't blamed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import minisegnet.training.session
from minisegnet import use_backend
from minisegnet.cli import main
from minisegnet.data import Synthetic, write_folder
from minisegnet.data.sample import Dataset, Sample
from minisegnet.data.statistics import Normalisation
from minisegnet.diagnosis import examine
from minisegnet.diagnosis.finding import DOUBTFUL, NOTE, WRONG
from minisegnet.diagnosis.learning import Sweep, Trial, read_sweep
from minisegnet.training import Session, Settings

SMALL = {
    "data": "shapes",
    "size": (32, 32),
    "count": 8,
    "model": "unet",
    "width": 4,
    "depth": 1,
    "steps": 1,
    "batch": 2,
}

SLOW_DATA = [pytest.param(name, marks=pytest.mark.slow) for name in ("cells", "streets")]


@pytest.fixture(autouse=True)
def numpy_backend():
    with use_backend("numpy"):
        yield


class Planted(Dataset):
    """A dataset in which something is changed."""

    def __init__(self, dataset, change, ignore_index):
        self.dataset, self.change, self.ignore_index = dataset, change, ignore_index
        for name in ("name", "class_names", "palette", "channels"):
            setattr(self, name, getattr(dataset, name))

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        return self.change(self.dataset, i)


@pytest.fixture
def session_of(monkeypatch):
    """Set up a training; ``change(dataset, i)`` makes the samples."""
    opened = minisegnet.training.session.open_split

    def make(change=None, ignore_index=None, **settings):
        def open_split(settings, split):
            dataset = opened(settings, split)
            return Planted(dataset, change, ignore_index) if change else dataset

        monkeypatch.setattr(minisegnet.training.session, "open_split", open_split)
        return Session(Settings(**{**SMALL, **settings}))

    return make


def relabelled(function):
    """Change labels by ``function(labels, i)``."""

    def change(dataset, i):
        sample = dataset[i]
        return sample._replace(labels=np.ascontiguousarray(function(sample.labels, i), np.uint8))

    return change


def look(session, **options):
    """Examine, see that the session is as it was, and return the findings by name."""
    before = {name: array.tobytes() for name, array in session.model.state_dict().items()}
    memory = {name: np.asarray(v).tobytes() for name, v in session.optimizer.state_dict().items()}
    attributes = {name: id(value) for name, value in vars(session).items()}
    diagnosis = examine(session, **{"steps": 40, "rates": 12, **options})
    assert {name: array.tobytes() for name, array in session.model.state_dict().items()} == before
    assert {name: np.asarray(v).tobytes() for name, v in session.optimizer.state_dict().items()} == memory
    assert {name: id(value) for name, value in vars(session).items()} == attributes
    assert all(parameter.grad is None for parameter in session.model.parameters())
    assert not any("forward" in vars(module) for _, module in session.model.named_modules())
    for finding in diagnosis.findings:
        assert all(len(text) > 10 for text in finding[2:])
    return diagnosis, {finding.name: finding for finding in diagnosis.findings}


def wrong(found):
    return {name for name, finding in found.items() if finding.severity == WRONG}


# ---------------------------------------------------------------------------------------------------------
# Healthy


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ("shapes", {}),
        pytest.param("cells", {"options": {"norm": None}}, marks=pytest.mark.slow),
        pytest.param(
            "streets",
            {"optimizer": "sgd", "loss": "ce+dice", "weights": "median-frequency"},
            marks=pytest.mark.slow,
        ),
        ("cells", {"options": {"padding": "valid"}, "depth": 1, "size": (48, 48), "loss": "focal"}),
    ],
)
def test_healthy(session_of, data, settings):
    diagnosis, found = look(session_of(data=data, **settings))
    assert diagnosis.healthy
    assert all(finding.severity == NOTE for finding in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("data", ["shapes", "cells", "streets"])
@pytest.mark.parametrize(
    "model", ["unet", "segnet", "segnet-basic", "fcn8s", "fcn16s", "fcn32s", "deconvnet"]
)
def test_every_model_is_healthy(session_of, model, data):
    session = session_of(model=model, data=data, size=(64, 64), depth=2 if model == "unet" else None)
    _, found = look(session, steps=60)
    assert all(finding.severity == NOTE for finding in found.values()), found


# ---------------------------------------------------------------------------------------------------------
# Data


@pytest.mark.parametrize("data", ["shapes", *SLOW_DATA])
def test_moved_masks(session_of, data):
    change = relabelled(lambda labels, i: np.roll(labels, (4, -5), axis=(0, 1)))
    _, found = look(session_of(change, data=data, size=(48, 48)), steps=2, rates=4)
    assert "misaligned" in wrong(found)
    assert "moved by 4 up and 5 right pixels" in found["misaligned"].seen


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda labels, i: labels[:, ::-1], "mirrored left to right"),
        (lambda labels, i: labels[::-1], "mirrored top to bottom"),
        (lambda labels, i: np.rot90(labels), "turned by 90 degrees to the right"),  # so they fit
        (lambda labels, i: labels.T, "transposed"),
    ],
)
def test_turned_masks(session_of, turn, words):
    _, found = look(session_of(relabelled(turn)), steps=2, rates=4)
    assert "misaligned" in wrong(found)
    assert f"fit the pictures {words} (" in found["misaligned"].seen


@pytest.mark.parametrize("data", ["shapes", *SLOW_DATA])
def test_masks_of_other_pictures(session_of, data):
    def change(dataset, i):
        return dataset[i]._replace(labels=dataset[(i + 3) % len(dataset)].labels)

    _, found = look(session_of(change, data=data, count=12), steps=2, rates=4)
    assert "masks-unrelated" in wrong(found)


@pytest.mark.parametrize("data", ["shapes", *SLOW_DATA])
def test_a_numbering_of_its_own_in_each_mask(session_of, data):
    classes = len(Synthetic(data, count=1, size=32).class_names)
    change = relabelled(lambda labels, i: np.random.default_rng(i).permutation(classes)[labels])
    _, found = look(session_of(change, data=data, count=12), steps=2, rates=4)
    assert "labels-inconsistent" in wrong(found)


def test_a_label_map_in_another_order(session_of):
    change = relabelled(lambda labels, i: np.array([1, 0, 2, 3, 4])[labels])
    _, found = look(session_of(change), steps=2, rates=4)
    assert found["label-map"].severity == DOUBTFUL
    assert "'background'" in found["label-map"].seen and "'circle'" in found["label-map"].seen


def test_a_class_that_never_occurs_and_one_that_is_everything(session_of):
    change = relabelled(lambda labels, i: np.minimum(labels, 3))
    _, found = look(session_of(change), steps=2, rates=4)
    assert "star" in found["class-missing"].seen
    _, found = look(session_of(relabelled(lambda labels, i: labels * 0)))
    assert wrong(found) == {"one-class"}


def test_everything_is_ignored(session_of):
    diagnosis, found = look(session_of(relabelled(lambda labels, i: labels * 0 + 255), ignore_index=255))
    assert wrong(found) == {"all-ignored"}
    assert diagnosis.sweep is None  # there is nothing to train on
    change = relabelled(lambda labels, i: np.where(np.arange(32) < 20, 255, labels))
    _, found = look(session_of(change, ignore_index=255), steps=2, rates=4)
    assert found["much-ignored"].severity == DOUBTFUL
    assert "62 %" in found["much-ignored"].seen


def test_labels_that_are_no_class(session_of):
    _, found = look(session_of(relabelled(lambda labels, i: labels * 50)))
    assert "unknown-labels" in wrong(found)
    assert "50 (" in found["unknown-labels"].seen


def test_constant_pictures(session_of):
    def change(dataset, i):
        return dataset[i]._replace(image=np.full_like(dataset[i].image, 90))

    _, found = look(session_of(change))
    assert wrong(found) == {"constant-pictures"}
    assert "all of 8 pictures" in found["constant-pictures"].seen


@pytest.mark.parametrize("norm", [None, pytest.param("batch", marks=pytest.mark.slow)])
def test_without_normalisation(session_of, norm):
    session = session_of(options={"norm": norm})
    raw = Normalisation((0.0,) * 3, (1 / 255,) * 3)  # 0 to 255, as files hold it
    session.loader.normalisation = session.predictor.normalisation = raw
    _, found = look(session)
    assert wrong(found) == {"not-normalised"}
    session.predictor.normalisation = session.normalisation
    _, found = look(session, steps=2, rates=4)
    assert "normalisation-differs" in wrong(found)
    session.loader.normalisation = session.predictor.normalisation = Normalisation((0.0,) * 3, (1.0,) * 3)
    _, found = look(session, steps=2, rates=4)
    assert found["not-normalised"].severity == DOUBTFUL  # 0 to 1 is near enough to learn


def test_one_class_drowns_the_others(session_of):
    """Rare pixels in noise: the network learns the frequencies and no more."""

    def change(dataset, i):
        random = np.random.default_rng(i)
        image = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        return Sample(image, (random.random((32, 32)) < 0.03).astype(np.uint8), None, f"{i}")

    _, found = look(session_of(change, options={"norm": None}), steps=80, rates=8)
    assert found["imbalance"].severity == DOUBTFUL
    assert "97 % of the pixels are 'background'" in found["imbalance"].seen
    text = found["everything-one-class"]
    assert text.severity == WRONG
    assert "nearly everything is predicted as 'background', which 96 % of its pixels are" in text.seen
    assert text.advice == "try --weights median-frequency or --loss ce+dice"
    _, found = look(session_of(change, weights="median-frequency"), steps=2, rates=4)
    assert found["imbalance"].severity == NOTE


# ---------------------------------------------------------------------------------------------------------
# Rates and weights


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"lr": 1e-6}, "rate-too-low"),
        pytest.param({"lr": 1e-5, "optimizer": "sgd"}, "rate-too-low", marks=pytest.mark.slow),
        ({"lr": 30.0}, "rate-too-high"),
        pytest.param({"lr": 30.0, "optimizer": "sgd"}, "rate-too-high", marks=pytest.mark.slow),
    ],
)
def test_rates(session_of, settings, name):
    _, found = look(session_of(**settings))
    assert wrong(found) == {name}
    usual = {"adam": 0.003, "sgd": 0.05}[settings.get("optimizer", "adam")]
    assert found[name].advice == f"try --lr {usual:g}"


@pytest.mark.parametrize("norm", [None, pytest.param("batch", marks=pytest.mark.slow)])
def test_dead_relus(session_of, norm):
    session = session_of(options={"norm": norm})
    for name, parameter in session.model.named_parameters():
        if name.endswith("bias") and "head" not in name:
            parameter.data[:] = -50
    _, found = look(session)
    assert wrong(found) == {"dead-layers"}
    assert "in 6 of 6 layers" in found["dead-layers"].seen


@pytest.mark.parametrize(("factor", "name"), [(0.01, "vanishing"), (30, "exploding")])
def test_first_weights_of_the_wrong_scale(session_of, factor, name):
    session = session_of(options={"norm": None})
    for _, parameter in session.model.named_parameters():
        if parameter.ndim > 1:
            parameter.data *= factor
    _, found = look(session)
    assert wrong(found) == {name}


def test_certain_scores_at_the_start(session_of):
    session = session_of()
    session.model.head.weight.data *= 200
    _, found = look(session, steps=2, rates=4)
    assert "start-loss" in wrong(found)
    assert "ln 5 = 1.609" in found["start-loss"].seen


def test_numbers_that_are_not_finite(session_of):
    session = session_of()
    session.model.head.weight.data[:] = np.nan
    _, found = look(session, steps=2, rates=4)
    assert "not-finite" in wrong(found)
    assert "head.weight" in found["not-finite"].seen


def test_the_loss_at_the_start_is_that_of_a_blind_guess(session_of):
    """FCN's scores start at zero: the loss is ln C exactly, and blind is what it is compared with."""
    diagnosis, _ = look(session_of(model="fcn8s", depth=None, size=(64, 64)), steps=2, rates=4)
    assert diagnosis.blind == pytest.approx(np.log(5), rel=1e-6)
    assert diagnosis.start == pytest.approx(np.log(5), rel=1e-6)


def test_reading_a_sweep():
    rates = [10.0**k for k in range(-6, 2)]
    flat = Trial(rates, [1.0] * 8, None, None)
    assert read_sweep(flat) == Sweep(None, None, None)
    rises = Trial(rates, [1, 1, 1, 1, 1, 1, 5, 50.0], None, None)
    assert read_sweep(rises) == Sweep(None, 1.0, None)
    breaks = Trial(rates, [1, 1, 0.9, 0.5, 0.3], "NaN", None)
    assert read_sweep(breaks).bursts == rates[5]
    assert read_sweep(Trial(rates, [], "NaN", None)).bursts == rates[0]


def test_a_rate_that_learns_slowly_is_only_a_note(session_of):
    _, found = look(session_of(lr=5e-4), steps=60)
    assert wrong(found) == set()
    assert found["rate-low"].severity == NOTE
    assert found["rate-low"].advice == "try --lr 0.003"


@pytest.mark.slow
def test_the_example_of_the_page_runs(capsys):
    page = (Path(__file__).parent.parent / "docs" / "diagnose.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(compile(example, "diagnose.md", "exec"), {})
    assert capsys.readouterr().out == "wrong rate-too-low try --lr 0.003\n"


# ---------------------------------------------------------------------------------------------------------
# The command

WORDS = ["diagnose", "--width", "4", "--depth", "1", "--batch", "2", "--backend", "numpy"]


def test_the_command_on_a_folder(tmp_path, capsys):
    folder = write_folder(Synthetic("shapes", count=8, size=32), tmp_path / "data")
    assert main([*WORDS, str(folder), "--steps", "20", "--out", str(tmp_path / "look")]) == 0
    text = capsys.readouterr().out
    assert "Nothing is likely wrong." in text
    assert "plan: 48 learning rates" in text
    assert {path.name for path in (tmp_path / "look").iterdir()} == {
        "learning.png",
        "layers.png",
        "masks.png",
    }


def test_the_command_as_json_with_the_settings_of_a_run(tmp_path, capsys):
    path = tmp_path / "settings.toml"
    path.write_text(
        'data = "shapes"\nlr = 1e-7\nsize = 32\ncount = 8\nsteps = 50\nsave_every = 5\nschedule = "poly"\n'
    )
    assert main([*WORDS, "--config", str(path), "--json", "--steps", "30"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["healthy"]
    assert [finding["name"] for finding in told["findings"]] == ["rate-too-low"]
    assert len(told["one_picture"][0]["losses"]) == 30
    assert told["alignment"]["moved"] is False
    assert told["layers"][0]["kind"] == "Conv2d"
    assert told["files"] == []


def test_the_command_refuses(capsys):
    assert main([*WORDS, "shapes", "--steps", "1"]) == 1
    assert "--steps is 1; expected at least 2" in capsys.readouterr().err
    assert main([*WORDS, "no-such-folder"]) == 1
    assert "there is no such folder" in capsys.readouterr().err
