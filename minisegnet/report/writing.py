"""Write a report: a folder with the page and its numbers, whole or not at all."""

import json
from pathlib import Path

from minisegnet import files
from minisegnet.report.examine import Findings
from minisegnet.report.page import page

PAGE, NUMBERS = "report.html", "report.json"


def write(findings: Findings, folder: Path | str) -> Path:
    """Write ``report.html`` and ``report.json`` into a new folder.

    Nothing is ever overwritten: where the folder is there already, the report goes to ``folder-2``, ``folder-3`` ….
    Both files appear together, and only when they are complete.

    Parameters
    ----------
    findings
        What :func:`examine` found.
    folder
        Where to.

    Returns
    -------
    Path
        The folder that was written.

    Examples
    --------
    >>> import tempfile
    >>> from minisegnet import models, report
    >>> from minisegnet.data import Synthetic, measure_normalisation
    >>> from minisegnet.predictor import Predictor
    >>> dataset = Synthetic("shapes", split="val", size=(32, 32), count=2)
    >>> model = models.build("unet", classes=5, width=2, depth=1)  # it has learned nothing yet
    >>> predictor = Predictor(
    ...     model.eval(),
    ...     class_names=dataset.class_names,
    ...     palette=dataset.palette,
    ...     normalisation=measure_normalisation(dataset),
    ... )
    >>> findings = report.examine(predictor, dataset, split="val")
    >>> findings.numbers["data"]["counted_pixels"]
    2048
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = report.write(findings, Path(parent, "out"))
    ...     sorted(path.name for path in folder.iterdir())
    ['report.html', 'report.json']
    """
    numbers = json.dumps(findings.numbers, indent=1, allow_nan=False) + "\n"
    content = {PAGE: page(findings.numbers, findings.shown), NUMBERS: numbers}
    return files.write_folder(folder, content)
