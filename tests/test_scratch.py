"""Arrays on disk are read as they were written, in whole and in parts, and leave nothing behind."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisegnet.data.cache import Cached
from minisegnet.data.sample import Sample
from minisegnet.data.scratch import Scratch
from minisegnet.data.synthetic import Synthetic


@given(st.data())
def test_arrays_come_back_as_they_went_in(data):
    scratch = Scratch(10**6)
    arrays = []
    for number in range(data.draw(st.integers(1, 6))):
        shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))
        kind = data.draw(st.sampled_from(["u1", "u2", "i4", "f4", "f8"]))
        array = np.random.default_rng(number).integers(0, 200, shape).astype(kind)
        arrays.append(array.swapaxes(0, -1) if data.draw(st.booleans()) else array)
    kept = [scratch.keep(array) for array in arrays]
    for array, there in zip(arrays, kept, strict=True):
        assert there is not None and there.dtype == array.dtype and there.shape == array.shape
        assert np.array_equal(there, array) and not there.flags.writeable and there.flags.aligned
        assert np.array_equal(there[-1:], array[-1:])


def test_what_does_not_fit_is_refused_and_the_rest_goes_on():
    scratch = Scratch(100)
    assert scratch.keep(np.zeros(101, np.uint8)) is None
    assert scratch.keep(np.zeros(0, np.uint8)) is None
    first = scratch.keep(np.full(90, 7, np.uint8))
    assert scratch.keep(np.zeros(20, np.uint8)) is None
    assert first is not None and (first == 7).all()


def test_arrays_outlive_the_scratch():
    first = Scratch(100).keep(np.arange(9.0))
    assert first is not None and first.tolist() == list(range(9))


def test_the_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    scratch = Scratch(1000)
    assert scratch.keep(np.arange(9.0)) is not None
    assert os.name != "posix" or list(tmp_path.iterdir()) == []


FULL = """
import resource, sys
import numpy as np
from minisegnet.data.scratch import Scratch
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
scratch = Scratch(100_000)
print([scratch.keep(np.full(3000, n, np.uint8)) is not None for n in range(3)], scratch.used)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of this kind are Unix's")
def test_a_full_disk_is_no_error():
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("[False, False, False]") and not ran.stderr


def test_a_crop_touches_only_its_part():
    cached = Cached(Synthetic("shapes", count=3, size=64), 0)
    sample, again = cached[1], cached[1]
    assert again is cached[1] and again is not sample
    assert isinstance(again, Sample) and again.image.base is not None
    assert np.array_equal(again.image, sample.image) and np.array_equal(again.labels, sample.labels)
