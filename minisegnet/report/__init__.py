"""A report of an evaluation: one HTML page that opens from disk, offline, and the same numbers as JSON.

``examine`` measures a model on labelled pictures in one pass, ``write`` writes what it found:

    import minisegnet
    from minisegnet import report
    from minisegnet.data import Folder

    predictor = minisegnet.load("runs/mine")
    findings = report.examine(predictor, Folder("my-folder", split="test"), split="test")
    report.write(findings, "out")

The page is made of ``findings.numbers`` alone (they are ``report.json``) and of the pictures that are shown. Each
section of it is a file in ``parts/``; ``markup`` escapes what comes from outside; ``hints`` reads the numbers.
"""

from minisegnet.report.examine import Findings, Shown, examine
from minisegnet.report.page import page
from minisegnet.report.writing import NUMBERS, PAGE, write

__all__ = ["NUMBERS", "PAGE", "Findings", "Shown", "examine", "page", "write"]
