"""Every layout, in the forms in which it is met: what is recognised, and that its labels come out exactly."""

from pathlib import Path

import numpy as np
import pytest
from layout_makers import LAYOUTS, make

from minisegnet.data.folder import Folder
from minisegnet.data.layouts import find_layout


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_recognised_and_its_labels_are_exact(name: str, tmp_path: Path) -> None:
    expected = make(name, tmp_path / "data")
    layout = find_layout(tmp_path / "data")
    assert layout.kind == expected.kind and layout.split_names() == expected.split_names
    there = {split: [entry.name for entry in entries] for split, entries in layout.splits.items()}
    assert there == {split: sorted(names) for split, names in expected.names.items()}
    for split in (*expected.split_names, "all"):
        dataset = Folder(tmp_path / "data", split=split)
        assert dataset.class_names == expected.class_names and len(dataset) > 0
        for sample in dataset:
            assert np.array_equal(sample.labels, expected.labels[sample.name]), sample.name
