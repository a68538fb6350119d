"""How good is a prediction? Counts of right and wrong pixels, and the numbers that papers make of them.

Everything starts from one table, the confusion matrix: how many pixels of class i were given class j. Pixel
accuracy, IoU, Dice and the others are different ways to read it (``Report``). ``Evaluation`` adds up the tables of
many pictures. Two are apart. Boundary F1 asks how near the outlines are, which no count of pixels can tell;
``Calibration`` asks whether the model knows when it is wrong.
"""

from minisegnet.metrics.boundary import boundary_counts, boundary_f1, f1_of_counts
from minisegnet.metrics.calibration import Calibration, Reliability, confidence_of
from minisegnet.metrics.confusion import confusion_matrix
from minisegnet.metrics.evaluation import Evaluation, Picture
from minisegnet.metrics.report import Report

__all__ = [
    "Calibration",
    "Evaluation",
    "Picture",
    "Reliability",
    "Report",
    "boundary_counts",
    "boundary_f1",
    "confidence_of",
    "confusion_matrix",
    "f1_of_counts",
]
