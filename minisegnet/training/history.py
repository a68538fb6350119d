"""The history of a run: a table of all steps and a table of all evaluations, as plain text.

Rows are only ever added at the end. A killed process can leave rows that no checkpoint knows of, and half a last
row; a training that goes on from its checkpoint first cuts both away (``rewind``), and they come again.
"""

import csv
import io
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from minisegnet.files import write_atomically
from minisegnet.training.run_folder import METRICS_CSV, METRICS_JSONL, STEPS

Value: TypeAlias = int | float | str | bool | None

MOST_WAITING = 200  # rows in memory
MARK = "\ufeff"  # before non-English text it tells spreadsheets that this is UTF-8


class History:
    """The tables ``steps.csv`` (each step) and ``metrics.csv``, ``metrics.jsonl`` (each evaluation) of a run.

    Rows wait in memory until ``flush``; call it before a checkpoint is saved, so that the checkpoint never knows
    more steps than the tables. A number that is NaN or infinite is an empty cell, and null in JSON.

    Parameters
    ----------
    folder
        The folder of the run. Tables that are there are continued.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     history = History(folder)
    ...     history.step(1, loss=0.7, lr=0.1, gradient_norm=2.5)
    ...     history.evaluation({"step": 1, "miou": 0.25, "iou_sky": float("nan")})
    ...     history.flush()
    ...     print(Path(folder, "metrics.csv").read_text(), end="")
    ...     print(Path(folder, "metrics.jsonl").read_text(), end="")
    step,miou,iou_sky
    1,0.25,
    {"step": 1, "miou": 0.25, "iou_sky": null}
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._steps = _Csv(self.folder / STEPS)
        self._metrics = _Csv(self.folder / METRICS_CSV)
        self._lines = _Lines(self.folder / METRICS_JSONL)

    def step(self, step: int, loss: float, lr: float, gradient_norm: float) -> None:
        """Add a row to the table of steps."""
        self._steps.add(_plain({"step": step, "loss": loss, "lr": lr, "gradient_norm": gradient_norm}))
        if len(self._steps.lines.waiting) >= MOST_WAITING:
            self.flush()

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Add a row to both tables of evaluations.

        Parameters
        ----------
        row
            Numbers, texts or None by name; ``"step"`` must be one of them. The first row's names become the
            columns. A later row may leave some out, but can't bring others.
        """
        plain = _plain(row)
        self._metrics.add(plain)
        self._lines.add(json.dumps(plain, ensure_ascii=False, allow_nan=False))

    def flush(self) -> None:
        """Write the rows that wait."""
        for table in (self._steps.lines, self._metrics.lines, self._lines):
            table.flush()

    def rewind(self, step: int) -> None:
        """Drop all rows that come after a step, and half a row at the end.

        Parameters
        ----------
        step
            That of the checkpoint from which the training goes on; its own rows stay.
        """
        self.flush()
        self._steps.rewind(step)
        self._metrics.rewind(step)
        self._lines.keep(lambda line: _step_of(_json_row(line)) <= step)

    def read_steps(self) -> list[dict[str, float]]:
        """Return the rows of the table of steps; an empty cell is NaN."""
        self.flush()
        return [{name: _number(cell) for name, cell in row.items()} for row in self._steps.read()]

    def read_evaluations(self) -> list[dict[str, Any]]:
        """Return the rows of evaluations: numbers as floats, null as NaN, texts as they are."""
        self.flush()
        rows = [_json_row(line) for line in self._lines.read()]
        return [{name: _read_value(value) for name, value in row.items()} for row in rows if row]


# ---------------------------------------------------------------------------------------------------------
# Values


def _plain(row: Mapping[str, Any]) -> dict[str, Value]:
    """Return the row with plain Python values; what isn't finite becomes None."""
    plain = {name: _plain_value(name, value) for name, value in row.items()}
    step = plain.get("step")
    if isinstance(step, bool) or not isinstance(step, int):
        raise ValueError(
            f"the row's step is {row.get('step')!r}; expected a whole number, as in {{'step': 10}}"
        )
    return plain


def _plain_value(name: str, value: Any) -> Value:
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # a NumPy number or a 0-d array
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, int | float | str):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}; expected a number, a text or None in each cell")


def _read_value(value: Any) -> Any:
    if value is None:
        return math.nan
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:  # empty, or spoilt by hand
        return math.nan


def _json_row(line: str) -> dict[str, Any]:
    """Return the row, or an empty one if the line can't be read."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _step_of(row: Mapping[str, Any]) -> float:
    """Return the row's step, or infinity for a row without one: it is dropped at any rewinding."""
    step = row.get("step")
    number = _number(step) if isinstance(step, str) else step
    return number if isinstance(number, int | float) and not math.isnan(number) else math.inf


# ---------------------------------------------------------------------------------------------------------
# Files of lines


class _Lines:
    """A text file to which lines are added. A last line without a line end was torn, and doesn't count."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting: list[str] = []

    def add(self, line: str) -> None:
        self.waiting.append(line)

    def read(self) -> list[str]:
        """Return the complete lines of the file."""
        if not self.path.exists():
            return []
        complete = self.path.read_bytes().rpartition(b"\n")[0]
        return complete.decode("utf-8", "replace").split("\n") if complete else []

    def flush(self) -> None:
        if not self.waiting:
            return
        content = ("\n".join(self.waiting) + "\n").encode("utf-8", "replace")
        self._drop_torn_line()
        with open(self.path, "ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                written = 0
                while written < len(content):
                    written += file.write(content[written:]) or 0
            except OSError as error:
                file.truncate(size)  # so that a second try doesn't write rows twice
                raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.waiting.clear()

    def _drop_torn_line(self) -> None:
        """Cut off what comes after the last line end, where a process was killed while writing."""
        if not self.path.exists():
            return
        with open(self.path, "r+b") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)

    def keep(self, wanted: Callable[[str], bool]) -> None:
        """Keep only the lines that are wanted."""
        self.replace([line for line in self.read() if wanted(line)])

    def replace(self, lines: list[str]) -> None:
        content = "".join(line + "\n" for line in lines).encode("utf-8")
        if self.path.exists() and self.path.read_bytes() != content:
            write_atomically(self.path, content)


class _Csv:
    """A table of comma-separated values on top of a file of lines; its first line names the columns."""

    def __init__(self, path: Path) -> None:
        self.lines = _Lines(path)
        self.columns = _cells("".join(self.lines.read()[:1]).removeprefix(MARK))

    def add(self, row: Mapping[str, Value]) -> None:
        row = {_one_line(name): value for name, value in row.items()}
        if not self.columns:
            self.columns = list(row)
            header = _csv_line(self.columns)
            self.lines.add(header if header.isascii() else MARK + header)
        unknown = [name for name in row if name not in self.columns]
        if unknown:
            raise ValueError(
                f"the row has {', '.join(unknown)}, which {self.lines.path} has no column for; expected: "
                f"{', '.join(self.columns)}"
            )
        self.lines.add(_csv_line([row.get(name) for name in self.columns]))

    def read(self) -> list[dict[str, str]]:
        """Return the rows as texts; lines with too few or too many cells are left out."""
        return [row for row in map(self._row, self.lines.read()[1:]) if row]

    def rewind(self, step: int) -> None:
        header, rows = self.lines.read()[:1], self.lines.read()[1:]
        if not header:
            self.columns = []  # a table that was torn in its first line begins anew
        self.lines.replace(header + [line for line in rows if _step_of(self._row(line)) <= step])

    def _row(self, line: str) -> dict[str, str]:
        cells = _cells(line)
        return dict(zip(self.columns, cells, strict=True)) if len(cells) == len(self.columns) else {}


def _one_line(text: str) -> str:
    """Put a name on one line, so that each row is one line of the file."""
    return " ".join(text.split("\n")).replace("\r", " ")


def _csv_line(cells: list[Any]) -> str:
    text = io.StringIO()
    tidy = [_one_line(cell) if isinstance(cell, str) else cell for cell in cells]
    csv.writer(text, lineterminator="").writerow(tidy)
    return text.getvalue()


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:  # an endless cell
        return []
