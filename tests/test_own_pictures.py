"""The whole way, by the commands alone: check-data, train, evaluate, predict, on data in every layout as it comes."""

import json
from pathlib import Path

import layout_makers
import numpy as np
import pytest

from minisegnet.cli import main
from minisegnet.data import Folder, read_image, read_mask
from minisegnet.data.layouts import find_layout

TRAIN = [
    "--width",
    "2",
    "--depth",
    "1",
    "--steps",
    "3",
    "--batch",
    "2",
    "--backend",
    "numpy",
    "--name",
    "mine",
]


@pytest.mark.slow
@pytest.mark.parametrize("layout", layout_makers.LAYOUTS)
def test_from_a_folder_to_a_model_a_report_and_masks(layout, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    layout_makers.make(layout, Path("data"))
    assert main(["check-data", "data", "--out", "check"]) == 0, capsys.readouterr()
    assert main(["train", "data", *TRAIN]) == 0
    assert (
        main(["evaluate", "runs/mine", "data", "--split", "all", "--backend", "numpy", "--report", "report"])
        == 0
    )
    report = json.loads(Path("report/report.json").read_text(encoding="utf-8"))
    assert len(report["pictures"]) == len(Folder("data", split="all"))
    assert Path("report/report.html").read_text(encoding="utf-8").startswith("<!")

    pictures = [entry.image for entry in find_layout(Path("data")).entries()]
    words = [str(path) for path in pictures]
    assert main(["predict", "runs/mine", *words, "--out", "masks", "--outlines", "--backend", "numpy"]) == 0
    names = dict.fromkeys(path.stem for path in pictures)
    assert len(names) == len(pictures)
    for path in pictures:
        mask = read_mask(Path("masks", f"{path.stem}.png"))
        assert mask.shape == read_image(path).shape[:2]
    outlines = json.loads(next(Path("masks").glob("*.json")).read_text(encoding="utf-8"))
    assert len(outlines["images"]) == len(pictures)
    assert np.isfinite([annotation["area"] for annotation in outlines["annotations"]]).all()
