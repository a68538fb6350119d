"""demo, train, predict and evaluate from the command line, on small synthetic sets and folders."""

import json
import shlex

import numpy as np
import pytest
from PIL import Image
from training_helpers import TINY

from minisegnet import ops
from minisegnet.cli import main
from minisegnet.cli.demo import RECIPES
from minisegnet.data import Synthetic
from minisegnet.data.reading import read_mask
from minisegnet.training.settings import Settings, as_toml, read_toml


@pytest.fixture(autouse=True)
def numpy_backend(monkeypatch):
    monkeypatch.setenv("MINISEGNET_BACKEND", "numpy")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(as_toml(TINY.as_dict()))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small finished run, which nobody changes."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(as_toml(TINY.as_dict()))
    with ops.use_backend("numpy"):
        assert main(["train", "--config", str(folder / "tiny.toml"), "--out", str(folder)]) == 0
    return folder / "shapes-unet"


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def write_folder(root, count=5, kind="shapes"):
    """Write a small folder of pictures and masks, as a user would have it."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for sample in Synthetic(kind, count=count, size=(40, 48)):
        Image.fromarray(sample.image.squeeze()).save(root / "images" / f"{sample.name}.png")
        Image.fromarray(sample.labels).save(root / "masks" / f"{sample.name}.png")
    return root


# ---------------------------------------------------------------------------------------------------------
# demo


@pytest.mark.parametrize("model", [*RECIPES, "segnet-basic"])
def test_the_demo_says_what_it_learned_and_where_it_is(model, tmp_path, capsys):
    words = [
        "demo",
        "--model",
        model,
        "--width",
        "2",
        "--steps",
        "2",
        "--size",
        "32",
        "--out",
        str(tmp_path),
        "--json",
    ]
    assert main(words) == 0
    out = capsys.readouterr().out
    result = json.loads(out.splitlines()[-1])
    assert {"miou", "pixel_accuracy", "iou", "seconds", "run"} <= result.keys()
    assert set(result["iou"]) == {"background", "circle", "square", "triangle", "star"}
    assert result["split"] == "test"
    for text in ("class", "star", "mIoU", "samples.png", "minisegnet predict", f"demo-{model}"):
        assert text in out


def test_the_demo_again_goes_beside_the_first(tmp_path, capsys):
    words = ["demo", "--width", "2", "--steps", "1", "--size", "32", "--out", str(tmp_path), "--json"]
    runs = []
    for _ in range(2):
        assert main(words) == 0
        runs.append(last_json(capsys)["run"])
    assert runs == [str(tmp_path / "demo-unet"), str(tmp_path / "demo-unet-2")]


# ---------------------------------------------------------------------------------------------------------
# train


def test_the_settings_of_a_run_train_the_same_again(run, tmp_path, capsys):
    assert main(["train", "--config", str(run / "settings.toml"), "--out", str(tmp_path), "--json"]) == 0
    assert last_json(capsys)["run"] == str(tmp_path / "shapes-unet")
    again = tmp_path / "shapes-unet" / "last.safetensors"
    assert again.read_bytes() == (run / "last.safetensors").read_bytes()
    settings = Settings.of(read_toml(run / "settings.toml"))
    assert settings.lr is not None and settings.steps == TINY.steps


def test_flags_reach_the_settings(config, tmp_path, capsys):
    words = [
        "train", "cells", "--config", str(config), "--model", "segnet", "--width", "2", "--depth", "1", "--epochs",
        "0.5", "--batch", "3", "--crop", "32x48", "--augment", "flip", "--optimizer", "sgd", "--lr", "0.25",
        "--schedule", "poly", "--loss", "focal", "--weights", "inverse", "--seed", "3", "--save-every", "1",
        "--count", "6", "--size", "48", "--name", "mine", "--out", str(tmp_path), "--json",
    ]  # fmt: skip
    text = config.read_text().split("[options]")[0].replace("steps = 6\n", "")
    config.write_text(text)
    assert main(words) == 1  # SegNet has no depth
    assert "depth" in capsys.readouterr().err
    words = [word for word in words if word not in ("--depth", "1")] + ["--save-every", "1"]
    config.write_text(text.replace("depth = 1\n", ""))
    words.remove("--save-every")
    assert main(words) == 0
    settings = read_toml(tmp_path / "mine" / "settings.toml")
    assert settings["model"] == "segnet" and settings["data"] == "cells" and settings["steps"] == 1
    assert settings["crop"] == [32, 48] and settings["lr"] == 0.25 and settings["loss"] == "focal"


def test_a_folder_of_ones_own_pictures(tmp_path, capsys):
    data = write_folder(tmp_path / "mine")
    (data / "classes.txt").write_text("background\ncircle\nsquare\ntriangle\nstar\n")
    words = ["train", str(data), "--width", "2", "--depth", "1", "--steps", "2", "--batch", "2"]
    assert main([*words, "--out", str(tmp_path / "runs"), "--json"]) == 0
    result = last_json(capsys)
    assert result["split"] == "val" and result["run"].endswith("mine-unet") and "star" in result["iou"]
    assert main(["evaluate", result["run"], str(data), "--split", "all", "--json"]) == 0
    evaluated = last_json(capsys)
    assert evaluated["pictures"] == 5 and evaluated["split"] == "all"
    assert main(["evaluate", result["run"], "--json"]) == 0  # the run's own held-out pictures
    own = last_json(capsys)
    assert own["miou"] == result["miou"] and own["split"] == "val"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["shaps"], "did you mean 'shapes'?"),
        (["shapes", "--model", "unet2"], "there is no model named 'unet2'"),
        (["shapes", "--augment", "flop"], "there is no augmentation named 'flop'"),
        (["shapes", "--loss", "dise"], "did you mean 'dice'?"),
        (["shapes", "--optimizer", "adm"], "did you mean 'adam'?"),
        (["shapes", "--steps", "3", "--epochs", "2"], "expected one of steps, epochs, time"),
        (["shapes", "--steps", "0"], "steps is 0"),
        (["shapes", "--option", "padding=vald", "--steps", "1"], "padding is 'vald'"),
        (["shapes", "--model", "patch"], "not one for each pixel"),
        (["shapes", "--backend", "nunba"], "nunba"),
        (["shapes", "--resume", "nowhere"], "there is no such run"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_nothing_is_left_behind(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        main(
            ["train", *words, "--count", "4", "--size", "32"]
            if "--resume" not in words
            else ["train", *words[1:]]
        )
        == 1
    )
    err = capsys.readouterr().err
    assert told in err and err.startswith("minisegnet: ") and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_resume_takes_only_what_may_change(run, capsys):
    assert main(["train", "--resume", str(run), "--lr", "1"]) == 1
    assert "lr can't be changed" in capsys.readouterr().err


def test_a_step_that_is_not_finite_is_told_in_one_line(config, tmp_path, capsys):
    words = ["train", "--config", str(config), "--lr", "1e30", "--clip", "0", "--schedule", "constant"]
    assert main([*words, "--warmup", "0", "--out", str(tmp_path / "runs")]) == 1
    err = capsys.readouterr().err
    assert "the loss is" in err and "The step was not made" in err and len(err.splitlines()) == 1


# ---------------------------------------------------------------------------------------------------------
# predict


def test_predict_writes_masks_of_the_pictures_own_size(run, tmp_path, capsys):
    pictures = write_folder(tmp_path / "mine") / "images"
    Image.fromarray(np.zeros((50, 33, 3), np.uint8)).save(pictures / "odd.png")
    assert main(["predict", str(run), str(pictures), "--out", str(tmp_path / "masks")]) == 0
    assert "6 of 6 labelled" in capsys.readouterr().out
    with Image.open(tmp_path / "masks" / "odd.png") as mask:
        assert mask.size == (33, 50) and mask.mode == "P"
        assert np.asarray(mask).max() < 5
    assert (tmp_path / "masks" / "odd-overlay.png").exists()
    assert main(["predict", str(run), str(pictures), "--out", str(tmp_path / "masks")]) == 1
    assert "already has" in capsys.readouterr().err


def test_one_bad_picture_is_named_and_the_others_are_labelled(run, tmp_path, capsys):
    pictures = write_folder(tmp_path / "mine", count=2) / "images"
    (pictures / "broken.png").write_bytes((pictures / "shapes-train-00000.png").read_bytes()[:200])
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(pictures / "grey.png")
    assert main(["predict", str(run), str(pictures), "--no-overlay"]) == 1
    out, err = capsys.readouterr()
    assert "broken.png" in err and "grey.png" in err and len(err.splitlines()) == 2
    assert "2 of 4 labelled" in out
    assert sorted(p.name for p in (run / "predictions").iterdir()) == [
        "shapes-train-00000.png", "shapes-train-00001.png"
    ]  # fmt: skip


def test_pictures_of_one_name_do_not_hide_each_other(run, tmp_path):
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((44, 40, 3), np.uint8)).save(tmp_path / "a.bmp")
    words = [
        "predict",
        str(run / "best.safetensors"),
        str(tmp_path / "a.*"),
        "--no-overlay",
        "--out",
        str(tmp_path / "m"),
    ]
    assert main(words) == 0
    assert {read_mask(path).shape for path in (tmp_path / "m").iterdir()} == {(40, 40), (44, 40)}


@pytest.mark.parametrize("picture", ["nothing.png", "*.none"])
def test_no_picture_is_an_error(run, picture, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(run), picture]) == 1
    assert "there is no picture there" in capsys.readouterr().err


def test_a_picture_that_is_not_there_does_not_stop_the_others(run, tmp_path, capsys):
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    words = [
        "predict",
        str(run),
        str(tmp_path / "b.png"),
        str(tmp_path / "a.png"),
        "--out",
        str(tmp_path / "m"),
    ]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert "b.png: there is no picture there" in err and "1 of 2 labelled" in out


def test_a_mask_and_an_overlay_of_one_name_do_not_replace_each_other(run, tmp_path):
    for name in ("a.png", "a-overlay.png"):
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / name)
    assert main(["predict", str(run), str(tmp_path / "*.png"), "--out", str(tmp_path / "m")]) == 0
    assert len(list((tmp_path / "m").iterdir())) == 4


# ---------------------------------------------------------------------------------------------------------
# evaluate


def test_evaluate_gives_the_numbers_of_the_training(run, tmp_path, capsys):
    assert main(["evaluate", str(run), "--out", str(tmp_path), "--json"]) == 0
    result = last_json(capsys)
    report = json.loads((run / "report.json").read_text())
    assert result["miou"] == report["miou"] and result["split"] == "test"
    folder = tmp_path / "evaluation-shapes"
    assert result["run"] == str(folder)
    assert {p.name for p in folder.iterdir()} == {
        "report.json",
        "samples.png",
        "confusion.png",
        "settings.toml",
    }
    assert read_toml(folder / "settings.toml")["split"] == "test"


def test_evaluate_refuses_other_classes(run, tmp_path, capsys):
    assert main(["evaluate", str(run), "cells", "--out", str(tmp_path)]) == 1
    assert "the model was trained on" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_refused(run, tmp_path, capsys):
    data = bytearray((run / "best.safetensors").read_bytes())
    data[-100] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(data)
    assert main(["evaluate", str(tmp_path / "bad.safetensors")]) == 1
    assert "damaged" in capsys.readouterr().err


def test_evaluate_knows_the_runs_own_folder_by_any_name(tmp_path, monkeypatch, capsys):
    write_folder(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    words = ["train", "mine", "--width", "2", "--depth", "1", "--steps", "1", "--batch", "2", "--seed", "3"]
    assert main([*words, "--holdout", "0.5", "--json"]) == 0
    result = last_json(capsys)
    assert main(["evaluate", result["run"], "./mine", "--json"]) == 0
    assert last_json(capsys)["miou"] == result["miou"]  # the held-out pictures only


def test_a_longer_flag_wins_over_the_settings_of_a_run(run, tmp_path, capsys):
    words = [
        "train",
        "--config",
        str(run / "settings.toml"),
        "--epochs",
        "1",
        "--out",
        str(tmp_path),
        "--json",
    ]
    assert main(words) == 0
    assert read_toml(tmp_path / "shapes-unet" / "settings.toml")["steps"] == 3


def test_a_run_goes_on_with_its_own_backend_and_steps(tmp_path, monkeypatch, capsys, config):
    assert main(["train", "--config", str(config), "--out", str(tmp_path), "--option", "norm=none"]) == 0
    run = tmp_path / "shapes-unet"
    settings = read_toml(run / "settings.toml")
    assert settings["backend"] == "numpy" and settings["options"]["norm"] == "none"
    monkeypatch.delenv("MINISEGNET_BACKEND")
    assert main(["train", "--resume", str(run)]) == 0
    out = capsys.readouterr().out
    assert "finished already, at step 6" in out and "backend numpy" in out
    assert main(["train", "--resume", str(run), "--steps", "4"]) == 1
    assert "has made 6 already" in capsys.readouterr().err
    assert main(["train", "--resume", str(run / "last.safetensors"), "--steps", "7"]) == 0
    assert read_toml(run / "settings.toml")["steps"] == 7


@pytest.mark.parametrize("name", ["width", "seed", "dtype", "classes", "initialise"])
def test_options_that_are_not_the_models_own_are_refused(name, capsys):
    assert main(["train", "shapes", "--option", f"{name}=3", "--steps", "1"]) == 1
    assert f"options has '{name}'" in capsys.readouterr().err


def test_the_suggested_training_is_the_same_but_longer(tmp_path, capsys):
    """Whoever chose a small model, a crop and a loss shall not be told to train another for half an hour."""
    assert main(["sample-data", "cells", str(tmp_path / "data"), "--count", "4", "--size", "48"]) == 0
    flags = ["--width", "2", "--depth", "1", "--crop", "32", "--loss", "ce+dice", "--lr", "0.01"]
    words = ["train", str(tmp_path / "data"), *flags, "--steps", "1", "--out", str(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "--time 30m" in line]
    told = shlex.split(line)
    assert told[1:3] == ["train", str(tmp_path / "data")]
    assert told[3:-4] == "--width 2 --depth 1 --crop 32x32 --lr 0.01 --loss ce+dice".split()
    assert "--report report" in out
