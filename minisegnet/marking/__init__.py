"""Marks a learner's own kernels: what passes, the smallest case that fails, and the likely mistake.

``mark(path)`` gives a :class:`~minisegnet.marking.report.Report`; ``minisegnet check`` prints it. The functions of
the file run in a process of their own (`runner.py`, `child.py`). Each is called with many small cases (`cases/`), and
compared with the reference (`compare.py`). The first failing case is made small (`shrink.py`) and compared with wrong
versions of the op (`suspects/`); what no wrong version explains is described (`seen.py`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minisegnet.marking.marking import mark
    from minisegnet.marking.report import Report
    from minisegnet.marking.runner import Limits

__all__ = ["Limits", "Report", "mark"]


def __getattr__(name: str) -> Any:
    # The learner's process imports this package for its smallest parts only.
    if name == "mark":
        from minisegnet.marking.marking import mark

        return mark
    if name == "Report":
        from minisegnet.marking.report import Report

        return Report
    if name == "Limits":
        from minisegnet.marking.runner import Limits

        return Limits
    raise AttributeError(f"module 'minisegnet.marking' has no attribute {name!r}")
