"""Training: the loop, and what stands around it.

``loop.py`` is the text to read first: a step, and the loop around it. ``session.py`` makes all that takes part in it
from the settings, ``run.py`` is a whole run with its folder, pictures and report.

>>> from minisegnet.training import Settings
>>> Settings(data="shapes", model="unet", steps=100).batch
8
"""

from minisegnet.training.checkpoint import CheckpointError
from minisegnet.training.display import Display
from minisegnet.training.evaluate import Evaluated, evaluate
from minisegnet.training.loop import NotFinite, train, train_step
from minisegnet.training.run import Result, resume, start
from minisegnet.training.session import Session
from minisegnet.training.settings import Settings
from minisegnet.training.stopping import StopRequest

__all__ = [
    "CheckpointError",
    "Display",
    "Evaluated",
    "NotFinite",
    "Result",
    "Session",
    "Settings",
    "StopRequest",
    "evaluate",
    "resume",
    "start",
    "train",
    "train_step",
]
