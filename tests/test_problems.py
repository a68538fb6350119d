"""The flags of kernels for bad values: room for all, and a name for each."""

from pathlib import Path

from minisegnet import ops
from minisegnet.backends.cupy import manifest, problems

PRELUDE = (Path(manifest.FOLDER) / "prelude.cu").read_text(encoding="utf-8")


def flagged():
    return [
        name
        for source in manifest.sources()
        for name, parameters in manifest.kernels(source).items()
        if any(p.name == "problem" for p in parameters)
    ]


def test_there_is_a_flag_for_each_kernel_that_wants_one():
    assert 10 < len(set(flagged())) <= problems.MOST


def test_each_flag_names_an_op():
    assert [kernel for kernel in flagged() if problems._op_of(kernel) not in ops.__all__] == []


def test_the_longest_op_that_fits_is_named():
    assert problems._op_of("max_pool2d_backward_gather") == "max_pool2d_backward"
    assert problems._op_of("something_else") == "something_else"


def test_words_and_numbers_belong_together():
    for line in PRELUDE.splitlines():
        if line.startswith("#define BAD_"):
            _, name, number = line.split()
            word = {"INDEX": "index", "BATCH_INDEX": "batch index", "ORDER": "x2 < x1", "BOX": "box"}.get(
                name.removeprefix("BAD_"), name.removeprefix("BAD_").lower()
            )
            assert word in problems.KINDS[int(number)]
