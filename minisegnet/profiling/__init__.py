"""Where the time and the memory of a training step go: layer by layer, forward and backward, against the roofline."""

from minisegnet.profiling.measure import Part, Profile, profile
from minisegnet.profiling.roofline import Machine, measure_machine
from minisegnet.profiling.work import CountingBackend, Work, work_of

__all__ = ["CountingBackend", "Machine", "Part", "Profile", "Work", "measure_machine", "profile", "work_of"]
