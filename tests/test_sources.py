"""Data by name or by folder."""

from pathlib import Path

import numpy as np
import pytest

from minisegnet.data.folder import Folder
from minisegnet.data.palettes import default_palette
from minisegnet.data.reading import write_image, write_mask
from minisegnet.data.sources import open_dataset, split_names
from minisegnet.data.synthetic import KINDS, Synthetic


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for k in range(5):
        write_image(tmp_path / "images" / f"{k}.png", np.full((4, 4, 3), k, np.uint8))
        write_mask(tmp_path / "masks" / f"{k}.png", np.eye(4, dtype=np.uint8), default_palette(2))
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_synthetic_sets_by_name(kind: str) -> None:
    dataset = open_dataset(kind, "val", seed=3, count=2, size=(64, 96))
    same = Synthetic(kind, split="val", seed=3, count=2, size=(64, 96))
    assert len(dataset) == 2 and dataset[1].image.shape[:2] == (64, 96)
    assert np.array_equal(dataset[1].image, same[1].image)
    assert split_names(kind) == ("train", "val", "test")


def test_folders(pairs: Path) -> None:
    for source in (pairs, str(pairs)):
        dataset = open_dataset(source, "val", seed=1, holdout=0.4)
        assert isinstance(dataset, Folder) and len(dataset) == 2
        assert [s.name for s in dataset] == [s.name for s in Folder(pairs, split="val", seed=1, holdout=0.4)]
    assert split_names(pairs) == ("train", "val")


def test_folders_have_the_pictures_that_they_have(pairs: Path) -> None:
    for option in ({"count": 3}, {"size": 64}):
        with pytest.raises(ValueError, match=r"(count|size) is .* for synthetic sets .* Leave"):
            open_dataset(pairs, "train", **option)  # type: ignore[arg-type]


def test_what_is_neither_is_explained(pairs: Path) -> None:
    with pytest.raises(
        ValueError, match=r"(?s)'shape': there is no such .* \(did you mean 'shapes'\?\).* masks/"
    ):
        open_dataset("shape", "train")
    with pytest.raises(ValueError, match="it is a file, not a folder"):
        open_dataset(pairs / "images" / "0.png", "train")
    with pytest.raises(TypeError, match="expected a name or a folder"):
        open_dataset(3, "train")  # type: ignore[arg-type]


def test_a_folder_with_the_name_of_a_set(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs.rename(pairs.parent / "shapes")
    monkeypatch.chdir(pairs.parent)
    assert isinstance(open_dataset("./shapes", "train"), Folder)
    assert isinstance(open_dataset(Path("shapes"), "train"), Folder)
    assert isinstance(open_dataset("shapes", "train"), Synthetic)
