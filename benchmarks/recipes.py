"""How well does which training do, and how long does it take? ``python -m benchmarks recipes``.

Each recipe is a line that a user could type. It trains on a small folder of pictures (32 for training, 8 to choose the
best checkpoint by) and is measured on 16 others. The pictures are synthetic, so that anybody can repeat it; yours will
be harder or easier, but which recipe is better for what should hold.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import machine

SPLITS = {"train": 32, "val": 8, "test": 16}


class Recipe(NamedTuple):
    """One line of the table."""

    data: str  # "kind height x width"
    flags: str  # what is added to "minisegnet train FOLDER"


CELLS, STREETS = "cells 512x512", "streets 384x512"

RECIPES = [
    Recipe(CELLS, "--time 1m"),
    Recipe(CELLS, "--time 2m"),
    Recipe(CELLS, "--time 2m --augment flip+flip_vertical+rotate90+elastic"),
    Recipe(STREETS, "--time 2m"),
    Recipe(STREETS, "--time 2m --loss ce+dice --sampling classes"),
]


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Train by each recipe, print while it goes on, and write the record; return the exit status."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="recipes-") as folder:
        for recipe in RECIPES[: options.first]:
            row = measured(recipe, Path(folder), options.steps)
            rows.append(row)
            print(line(row), flush=True)
    record = {
        "command": " ".join(["python -m benchmarks", *arguments]),
        "pictures": SPLITS,
        "rows": rows,
        **machine.describe(),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "recipes.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "recipes.md").write_text(page(record), encoding="utf-8")
    print(f"wrote {options.out / 'recipes.md'}")
    return 0


def measured(recipe: Recipe, folder: Path, steps: int | None) -> dict[str, Any]:
    """Train by one recipe, as a user would, and return what came out."""
    data = pictures(recipe.data, folder)
    flags = shlex.split(recipe.flags)
    if steps is not None:  # to see whether the tool works
        flags = [*flags[2:], "--steps", str(steps)]
    command = [
        sys.executable,
        "-m",
        "minisegnet",
        "train",
        str(data),
        *flags,
        "--out",
        str(folder / "runs"),
        "--json",
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{ran.stderr[-2000:]}")
    told = json.loads(ran.stdout.splitlines()[-1])
    settings = (Path(told["run"]) / "settings.toml").read_text(encoding="utf-8")
    made = next(int(row.split("=")[1]) for row in settings.splitlines() if row.startswith("steps ="))
    return {
        "data": recipe.data,
        "flags": recipe.flags,
        "steps": made,
        **{key: told[key] for key in ("seconds", "miou", "pixel_accuracy", "iou", "split")},
    }


def pictures(data: str, folder: Path) -> Path:
    """Write the pictures of a recipe as a folder with three splits, once, and return it."""
    from minisegnet.data import Synthetic, write_folder

    kind, size = data.split()
    H, W = map(int, size.split("x"))
    root = folder / f"{kind}-{size}"
    if not root.exists():
        for split, count in SPLITS.items():
            write_folder(Synthetic(kind, split=split, count=count, size=(H, W)), root / split)
        (root / "train" / "classes.txt").rename(root / "classes.txt")
        for split in ("val", "test"):
            (root / split / "classes.txt").unlink()
    return root


def line(row: dict[str, Any]) -> str:
    """Write one row of the table."""
    worst = min(row["iou"], key=lambda name: row["iou"][name] if row["iou"][name] is not None else 2)
    return (
        f"| {row['data']} | `{row['flags']}` | {row['steps']} | {row['seconds'] / 60:.1f} | {row['miou']:.3f} "
        f"| {worst} {row['iou'][worst]:.3f} |"
    )


def page(record: dict[str, Any]) -> str:
    """Write the record as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    rows = "\n".join(line(row) for row in record["rows"])
    return f"""# Recipes

`{record["command"]}`

`minisegnet train FOLDER` with the flags of each row: {SPLITS["train"]} pictures for training, {SPLITS["val"]} to choose
the best checkpoint by, and measured on {SPLITS["test"]} others. Minutes are from start to end, measuring included,
with kernels that were compiled before.

- {record["cpu"]}, {record["cores"]} cores, {record["system"]}, Python {record["python"]}; {versions}; load of the
  machine at the start: {record["load"]}

| pictures | flags | steps | minutes | mIoU | worst class |
|---|---|---:|---:|---:|---|
{rows}
"""
