"""A doctor for models that don't learn: what is likely wrong, why it matters and what to try.

>>> from minisegnet import use_backend
>>> from minisegnet.training import Session, Settings
>>> session = Session(Settings(data="shapes", size=(32, 32), count=8, width=4, depth=1, batch=2, steps=1, lr=1e-7))
>>> with use_backend("numpy"):
...     [finding.name for finding in examine(session, steps=40, rates=16).findings]
['rate-too-low']
"""

from minisegnet.diagnosis.examine import Diagnosis, examine
from minisegnet.diagnosis.finding import Finding

__all__ = ["Diagnosis", "Finding", "examine"]
