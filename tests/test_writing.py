"""Folders that are written come back as they were; nothing is overwritten."""

import numpy as np
import pytest

from minisegnet.cli import main
from minisegnet.data import Folder, Synthetic, write_folder
from minisegnet.data.sample import Sample


@pytest.mark.parametrize("kind", ["shapes", "cells", "streets"])
def test_what_was_written_is_read(kind, tmp_path):
    pictures = Synthetic(kind, count=5, size=(40, 56), seed=3)
    folder = Folder(write_folder(pictures, tmp_path / "new" / kind), split="all")
    assert (folder.class_names, folder.palette, folder.channels) == (
        pictures.class_names,
        pictures.palette,
        pictures.channels,
    )
    for written, read in zip(pictures, folder, strict=True):
        assert written.name == read.name
        assert np.array_equal(written.image, read.image) and np.array_equal(written.labels, read.labels)


def test_nothing_is_overwritten(tmp_path):
    write_folder(Synthetic("cells", count=2, size=32), tmp_path)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"already has images, masks, classes\.txt; expected a new"):
        write_folder(Synthetic("shapes", count=2, size=32), tmp_path)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))


def test_a_picture_without_labels_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(
        Synthetic, "__getitem__", lambda self, i: Sample(np.zeros((4, 4, 3), np.uint8), name="x")
    )
    with pytest.raises(ValueError, match="picture x has no labels"):
        write_folder(Synthetic("shapes", count=1, size=32), tmp_path)


def test_the_command_writes_a_folder_that_can_be_trained_on(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert main(["sample-data", "streets", str(folder), "--count", "3", "--size", "32x40"]) == 0
    assert "3 pictures and masks" in capsys.readouterr().out
    assert len(Folder(folder, split="all")) == 3
    assert main(["sample-data", "streets", str(folder)]) == 1
    assert main(["sample-data", "trees", str(tmp_path / "other")]) == 1
    assert not (tmp_path / "other").exists()
