"""Exponential and logarithm of whole vectors.

The processor has no instruction for them, and a library's ``exp`` takes one number at a time. Both functions here reduce
the question to a small interval, where a short polynomial answers it, and bring back by additions and by the bits of
the exponent what the reduction took away. The coefficients are our own: they make the largest relative error on the interval as
small as it can be (found by least squares whose weights grow where the error is largest).

The errors are below 2 units in the last place of float32; ``tests/test_elementary.py`` measures them.
"""

import numpy as np

from ..launch import helper
from .vectors import MAGIC, maximum, power_of_two, split, where

# ln 2 in two parts. The first has only 9 bits, so that n times it is exact; the second is what it lacks.
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(np.log(2) - 0.693359375)
LN2, LOG2_E = np.float32(np.log(2)), np.float32(1 / np.log(2))
INFINITY, NAN = np.float32(np.inf), np.float32(np.nan)
SMALLEST_NORMAL, UP = np.float32(2.0**-126), np.float32(2.0**23)

# exp(89) is beyond the largest float32, exp(-104) rounds to 0.
HIGHEST, LOWEST = np.float32(89), np.float32(-104)
HALF = np.float32(0.5)

# exp(r) = 1 + r + r * r * (E2 + E3 * r + ...), for r up to half of ln 2: the error is 3e-9.
E2, E3, E4, E5, E6 = map(np.float32, (0.499999934, 0.166665201, 0.0416683942, 0.00836878041, 0.00138144669))

# log((1 + s) / (1 - s)) = 2 * s + s**3 * (L3 + L5 * s**2 + ...), for s up to 0.172: the error is 8e-10.
L3, L5, L7 = map(np.float32, (0.666667771, 0.399774495, 0.298744202))
ROOT_2_LESS_1 = np.float32(2**0.5 - 1)


@helper
def exp(v):
    """e to the v, lane by lane.

    With n the whole number nearest to v / ln 2, and r = v - n ln 2 the rest::

        exp(v) = 2**n * exp(r),   r between -ln 2 / 2 and ln 2 / 2

    A factor of 2**n is only a larger exponent. It is split in two factors, because n = 128 and n = -150 would not fit
    into one. So what is too large becomes infinity, and what is too small is rounded among the subnormals, down to 0.
    NaN stays NaN.
    """
    v = maximum(where(v > HIGHEST, HIGHEST, v), LOWEST)
    n = (v * LOG2_E + MAGIC) - MAGIC  # rounds: numbers as large as MAGIC have no digits behind the point
    r = (v - n * LN2_HIGH) - n * LN2_LOW
    tail = ((((E6 * r + E5) * r + E4) * r + E3) * r + E2) * r
    power = (tail * r + r) + np.float32(1)
    half = (n * HALF + MAGIC) - MAGIC
    return power * power_of_two(half) * power_of_two(n - half)


@helper
def log(v):
    """Natural logarithm, lane by lane; -inf of 0, NaN of what is below.

    With v = m * 2**n and m near 1: log(v) = log(m) + n ln 2.
    """
    tiny = v <= SMALLEST_NORMAL  # a subnormal number is multiplied by 2**23 to become an ordinary one
    m, n = split(where(tiny, v * UP, v))
    n = n - where(tiny, np.float32(23), n * np.float32(0))
    result = n * LN2_HIGH + (log_near_one(m - np.float32(1)) + n * LN2_LOW)
    result = where(v == INFINITY, INFINITY, result)
    return where(v > np.float32(0), result, where(v == np.float32(0), -INFINITY, NAN))


@helper
def log_near_one(f):
    """log(1 + f), for 1 + f from sqrt(1/2) to sqrt(2).

    With s = f / (2 + f), which is small, 1 + f = (1 + s) / (1 - s), and::

        log(1 + f) = 2 s + 2/3 s**3 + 2/5 s**5 + ... = f - f**2 / 2 + s (f**2 / 2 + 2/3 s**2 + 2/5 s**4 + ...)

    In the second form nearly all of the result is f, which is exact; what is rounded is small.
    """
    s = f / (f + np.float32(2))
    square, half_square = s * s, f * f * HALF
    series = ((L7 * square + L5) * square + L3) * square
    return f - (half_square - s * (half_square + series))


@helper
def log_one_plus(v):
    """log(1 + v) for v from 0 to 1: right to the last places for the smallest v, too, where 1 + v would be 1.

    From sqrt(2) on 1 + v is halved first, and ln 2 added.
    """
    large = v > ROOT_2_LESS_1
    near = log_near_one(where(large, (v - np.float32(1)) * HALF, v))
    return near + where(large, LN2, v * np.float32(0))
