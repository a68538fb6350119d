"""``cupy.cuda``: one device, streams that are always done, and graphs of what was recorded."""

import time

from . import device
from .device import MemoryPool, using_allocator

__all__ = [
    "Device",
    "Event",
    "Graph",
    "MemoryPool",
    "Stream",
    "get_current_stream",
    "runtime",
    "using_allocator",
]


class runtime:
    """The few calls of the CUDA runtime that the package makes."""

    CUDARuntimeError = device.CUDARuntimeError
    streamCaptureModeRelaxed = 2

    @staticmethod
    def getDeviceCount():
        return 1

    @staticmethod
    def getDevice():
        return 0

    @staticmethod
    def runtimeGetVersion():
        return 13000

    @staticmethod
    def driverGetVersion():
        return 13000

    @staticmethod
    def getDeviceProperties(number):
        names = {"name": b"no GPU: CUDA sources run on the CPU", "major": 9, "minor": 0}
        return {**names, "multiProcessorCount": 2, "totalGlobalMem": 2**30}


class Device:
    """The device that isn't there."""

    def __init__(self, number=0):
        self.id = number

    compute_capability = "90"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return self.id

    def synchronize(self):
        device.wait("Device.synchronize")


class Stream:
    """A queue of work. Work is done at once, so that the queue is always empty."""

    null = None

    def __init__(self, null=False, non_blocking=False):
        self.ptr = 0 if null else id(self)
        self.recording = None

    def __enter__(self):
        self._before = getattr(device.local, "stream", None)
        device.local.stream = self
        return self

    def __exit__(self, *_):
        device.local.stream = self._before

    def use(self):
        device.local.stream = self
        return self

    def synchronize(self):
        device.wait("Stream.synchronize")

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        pass  # the device's affair: the host goes on

    def begin_capture(self, mode=None):
        if self.ptr == 0:
            raise RuntimeError("the null stream can't be captured; make another")
        if self.recording is not None:
            raise device.CUDARuntimeError("the stream is captured already")
        self.recording = device.Recording()

    def end_capture(self):
        recorded, self.recording = self.recording, None
        graph = object.__new__(Graph)
        graph.recorded = recorded
        return graph

    def is_capturing(self):
        return self.recording is not None


Stream.null = Stream(null=True)


def get_current_stream():
    return device.stream()


class Graph:
    """Work that can be done again and again, on the memory that it was recorded with."""

    def __init__(self):
        raise NotImplementedError("a graph is made by Stream.end_capture")

    def launch(self, stream=None):
        for memory, pool in self.recorded.memories.values():
            if memory() is None and (pool() is None or pool() is device.default_pool):
                raise device.CUDARuntimeError(
                    "the graph uses memory that went back to a pool for all: on a GPU it would be another's by now"
                )
        for work in self.recorded.work:
            work()

    def upload(self, stream=None):
        pass


class Event:
    """A mark in a stream, with a time."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.time = None

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        device.wait("Event.synchronize")


def get_elapsed_time(start, end):
    """Milliseconds between two events."""
    return 1000 * (end.time - start.time)
