"""docs/predict.md: its table of tiles is what the models say, and its examples are what the code does."""

import re
from pathlib import Path

import numpy as np

from minisegnet import models
from minisegnet.blending import default_tile, pooling_grid, reach, tiling
from minisegnet.data.outlines import outlines
from minisegnet.predictor import LARGE

PAGE = (Path(__file__).parents[1] / "docs" / "predict.md").read_text(encoding="utf-8")


def rows_of(first_cell: str) -> list[list[str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith(first_cell)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_tiles_is_what_the_models_say():
    told = {}
    for cells in rows_of("| `"):
        names = re.findall(r"`([a-z0-9-]+)`", cells[0])
        if len(cells) == 7 and "valid" not in cells[0]:
            for name, far in zip(names, cells[2].split(", "), strict=True):
                told[name] = [int(cell) for cell in (cells[1], far, *cells[3:])]
    assert set(told) == {*models.names()} - {"patch"}
    for name, numbers in told.items():
        model = models.build(name, classes=2, initialise=False)
        grid, tile = pooling_grid(model), default_tile(model)
        cut = tiling(model, (9 * tile, 9 * tile), tile)
        exact_from = 4 * cut.rows.margin
        assert numbers == [grid, reach(model), cut.rows.margin, tile, cut.rows.overlap, exact_from]
        assert tiling(model, (9 * tile, 9 * tile), exact_from).exact
        assert not tiling(model, (9 * tile, 9 * tile), exact_from - grid).exact


def test_numbers_in_the_text():
    text = " ".join(PAGE.split())
    assert f"{LARGE:,} pixels (2**21" in text
    assert "324 tiles of 768 x 768 pixels that overlap by 224: exact" in text
    assert round(np.exp(8)) == 2981 and "1 / 2981" in text


def test_the_example_of_outlines():
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "region =" in block)
    space: dict[str, object] = {"outlines": outlines}
    said = re.findall(r"^(.+?)  # (\[.*\])$", code, re.MULTILINE)
    exec(code, space)
    assert len(said) == 2 and all(str(eval(expression, space)) == result for expression, result in said)
