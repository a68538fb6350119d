"""Size arithmetic: hand-computed numbers, the papers' own, and against what arrays really do.

The truth test of SYSTEMS.md's row 6 is here; tests that belong to a row name it.
"""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisegnet import ops, sizes
from minisegnet.sizes import Layer


@pytest.mark.claim("S1-30")
def test_the_u_net_papers_sizes() -> None:
    """Row 9 of the systems list: 568, 280, 136, 64 before the poolings, 28 at the bottom, 388 out of 572."""
    size, on_the_way = (572, 572), []
    for _ in range(4):
        size = sizes.chain_size([Layer(3), Layer(3)], size)
        on_the_way.append(size[0])
        size = sizes.pool2d_size(size, 2)
    assert on_the_way == [568, 280, 136, 64]
    size = sizes.chain_size([Layer(3), Layer(3)], size)
    assert size == (28, 28)
    for _ in range(4):
        size = sizes.chain_size([Layer(2, stride=2, transposed=True), Layer(3), Layer(3)], size)
    assert size == (388, 388)


@pytest.mark.claim("S3-17", "S3-20")
def test_a_dilated_kernel_covers_more() -> None:
    """Row 16 of the systems list: k + (k-1)(r-1) at the rates 6, 12, 18 and 24 of DeepLab's pyramid."""
    covers = [sizes.receptive_field([Layer(3, dilation=rate)]).size[0] for rate in (6, 12, 18, 24)]
    assert covers == [13, 25, 37, 49]


@pytest.mark.claim("S0-23", "S4-68")
def test_receptive_field_of_vgg16() -> None:
    """Row 6 of the systems list: r += (k-1) j and j *= s, layer by layer; 212 pixels below the fifth pooling."""
    block = {n: [Layer(3, padding=1)] * n + [Layer(2, stride=2)] for n in (2, 3)}
    layers = block[2] * 2 + block[3] * 3
    field = sizes.receptive_field(layers)
    assert field.size == (212, 212)
    assert field.stride == (32, 32)
    assert field.start == (-90, -90)


def test_receptive_field_after_upsampling_has_a_fractional_stride() -> None:
    """Row 6 of the systems list: a transposed convolution divides the stride."""
    field = sizes.receptive_field([Layer(2, stride=2, transposed=True)])
    assert field.stride == (Fraction(1, 2), Fraction(1, 2))
    assert field.size == (1, 1)


@st.composite
def chains(draw: Any) -> list[Layer]:
    layers = []
    for _ in range(draw(st.integers(1, 3))):
        kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        dilation = draw(st.integers(1, 2))
        padding = draw(st.integers(0, (kernel - 1) // 2))
        layers.append(Layer(kernel, stride, padding, dilation, transposed=draw(st.booleans())))
    return layers


@pytest.mark.claim("S0-23", "S4-68")
@given(chains(), st.integers(0, 30))
def test_input_range_equals_what_a_perturbation_reaches(layers: list[Layer], wanted: int) -> None:
    """Row 6 of the systems list: the calculator agrees with what a change of each input pixel really reaches.

    All weights are positive, so nothing cancels.
    """
    W = 16
    try:
        _, OW = sizes.chain_size(layers, (W, W))
    except ValueError:
        return
    index = wanted % OW
    reaches = np.zeros((W, W))  # row i: only input i is on
    np.fill_diagonal(reaches, 1.0)
    x = reaches[:, None, None, :]
    with ops.use_backend("numpy"):
        for layer in layers:
            k, s, p, d = layer.kernel_size, layer.stride, layer.padding, layer.dilation
            run = ops.conv_transpose2d if layer.transposed else ops.conv2d
            x = run(x, np.ones((1, 1, 1, k)), stride=(1, s), padding=(0, p), dilation=(1, d))
    seen = np.flatnonzero(x[:, 0, 0, index])
    first, last = sizes.input_range(layers, index, axis=1)
    if len(seen) and all(layer.dilation == 1 and layer.stride <= layer.kernel_size for layer in layers):
        assert (seen[0], seen[-1]) == (max(first, 0), min(last, W - 1))
    else:  # with gaps, the range is what can be reached at most
        assert all(first <= i <= last for i in seen)


@pytest.mark.claim("S4-37")
@given(st.integers(1, 40), st.integers(1, 40))
def test_adaptive_bins_cover_everything(size: int, output_size: int) -> None:
    bins = [sizes.adaptive_bin(i, size, output_size) for i in range(output_size)]
    assert bins[0][0] == 0 and bins[-1][1] == size
    assert all(start < stop for start, stop in bins)
    assert all(after[0] <= before[1] for before, after in pairwise(bins))


def test_sizes_beyond_64_bits_are_exact() -> None:
    assert sizes.conv_transpose2d_size(2**40, 1, stride=2**40) == ((2**40 - 1) * 2**40 + 1,) * 2


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: sizes.conv2d_size(2, 3), "larger than the padded input"),
        (lambda: sizes.conv2d_size((2, 2), (1, 2, 3)), r"\(h, w\) pair"),
        (lambda: sizes.conv2d_size(5, 3, stride=0), "stride is 0; expected an integer of at least 1"),
        (lambda: sizes.conv_transpose2d_size(3, 2, stride=2, output_padding=2), "below max"),
        (lambda: sizes.conv_transpose2d_size(1, 1, padding=1), "less padding"),
        (lambda: sizes.pool2d_size(4, 3, padding=2), "at most half the kernel"),
        (lambda: sizes.pool2d_size(1, 2), "window does not fit"),
        (lambda: sizes.pool2d_size(1, 2, dilation=2, padding=1), "nothing but padding"),
        (lambda: sizes.crop2d_start(3, 4), "larger than the map"),
    ],
)
def test_errors_say_what_came_and_what_to_do(call: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("wrong", [1.0, "3", None, True, [1, 2.0]])
def test_sizes_are_integers(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected an integer"):
        sizes.conv2d_size(8, wrong)


def test_a_ceil_mode_window_may_hang_over_but_not_start_in_the_padding() -> None:
    assert sizes.pool2d_size(5, 2, stride=2, ceil_mode=True) == (3, 3)
    assert sizes.pool2d_size(3, 2, stride=3, padding=1, ceil_mode=True) == (2, 2)
    assert sizes.pool2d_size(1, 2, ceil_mode=True) == (1, 1)
    assert sizes.pool2d_size(2, 2, stride=4, padding=1, ceil_mode=True) == (1, 1)


def test_padded_size() -> None:
    assert sizes.pad2d_size((4, 5), (1, 2)) == (6, 9)
