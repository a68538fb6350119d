"""A few words for vectors, with which fast kernels are written as ordinary Python loops.

A processor has *vector registers*: one holds ``LANES`` float32 numbers side by side (16 with AVX-512, 8 with AVX,
4 otherwise), and one instruction adds or multiplies all of them. (In English and Korean alike this is called
SIMD, single instruction, multiple data.) Numba can't name such a register. This file teaches it one type, the
vector, and these words:

    load(array, i, j)                 the LANES numbers from array[i, j] rightwards
    store(vector, array, i, j)        write them there
    load_first(n, array, i, j)        only the first n of them, the other lanes 0: nothing beyond is read
    store_first(n, vector, array, i)  write the first n lanes only
    spread(array, i, j)               LANES copies of array[i, j]; i and j aren't negative
    u + v, u - v, u * v               lane by lane; a number stands for LANES copies of itself
    maximum(u, v)                     the larger of each pair of lanes
    u / v                             lane by lane, too; much slower than a product
    u == v, u > v, u <= v             a mask of lanes; a NaN is neither
    where(m, u, v)                    the choice that a mask makes, lane by lane
    interleave(u, v)                  u0 v0 u1 v1 ..., as two vectors; deinterleave undoes it
    total(v)                          the sum of the lanes
    registers(8, 2)                   an 8 x 2 block of zero vectors; block[k, v] reads and writes one
    power_of_two(n)                   2 to the n, for whole numbers n from -126 to 127
    split(v)                          m and n, where v is m times 2 to the n and m is near 1

Each word is first an ordinary function of NumPy arrays of LANES numbers. With ``NUMBA_DISABLE_JIT=1`` the kernels
run as plain Python, line by line in a debugger, and every load and store is checked against the ends of its
array. ``compiled`` then says which instructions (in the notation of LLVM, Numba's compiler) take the word's
place. The two agree but for rounding: the compiled ``a + b * c`` rounds once instead of twice.

What makes a kernel fast is to keep a block of results in registers while everything that goes into it streams past.
For that, loops over a block need constant bounds (``for k in range(OUT)``): the compiler then writes them out, and each
``block[k, v]`` becomes a register. With a bound that is known only at run time the result is right, but the block
lies in memory, and the kernel is three times slower. ``tests/test_vectors.py`` looks at the machine code for that.

Compiled loads and stores check nothing: a kernel must know that what it touches is there. ``tests/test_guard_pages.py``
puts unreadable memory behind every array.
"""

import math
import operator
from itertools import product
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model


def _lanes() -> int:
    """How many float32 numbers a vector register of this processor holds."""
    chosen = config.CPU_FEATURES  # NUMBA_CPU_FEATURES, or None: whatever the processor has
    if chosen is not None:
        features = {name: True for name in chosen.replace("+", "").split(",")}
    else:
        features = llvmlite.binding.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


LANES = _lanes()


# ---------------------------------------------------------------------------------------------------------
# The words, in plain Python


def load(array, *index):
    """The LANES numbers of ``array`` that begin at ``index``."""
    return load_first(LANES, array, *index)


def load_first(count, array, *index):
    """The first ``count`` of those numbers, and 0 in the other lanes; none if ``count`` is negative."""
    *row, column = index
    count = max(0, min(count, LANES))
    assert column >= 0, f"a load begins before its row: {index} in {array.shape}"
    lanes = array[tuple(row)][column : column + count]
    assert len(lanes) == count, f"a load runs past the end of a row: {index} in {array.shape}"
    return np.concatenate([lanes, np.zeros(LANES - count)]).astype(np.float32)


def spread(array, *index):
    """LANES copies of one number of ``array``.

    To write ``array[i, j] * v`` does the same. But Numba then asks each time whether an index is negative, for
    Python's sake.
    """
    assert min(index) >= 0, f"a negative index: {index}"
    return np.full(LANES, array[index], np.float32)


def store(vector, array, *index):
    """Write the LANES numbers of ``vector`` to ``array`` from ``index`` on."""
    store_first(LANES, vector, array, *index)


def store_first(count, vector, array, *index):
    """Write the first ``count`` lanes: none if it is negative, all from LANES up."""
    *row, column = index
    count = max(0, min(count, LANES))
    assert column >= 0, f"a store begins before its row: {index} in {array.shape}"
    lanes = array[tuple(row)][column : column + count]
    assert len(lanes) == count, f"a store runs past the end of a row: {index} in {array.shape}"
    lanes[:] = vector[:count]


def maximum(u, v):
    """The larger of ``u`` and ``v``, lane by lane; a NaN in ``u`` stays."""
    return np.where(np.less_equal(u, v), v, u).astype(np.float32)


def where(mask, u, v):
    """``u`` in the lanes where ``mask`` holds, ``v`` in the others."""
    return np.where(mask, u, v).astype(np.float32)


def interleave(u, v):
    """The lanes of ``u`` and ``v`` in turn: the first LANES of them, then the others."""
    both = np.stack([u, v], axis=1).ravel()
    return both[:LANES], both[LANES:]


def deinterleave(u, v):
    """The even lanes of ``u`` followed by ``v``, and the odd ones."""
    both = np.concatenate([u, v])
    return both[0::2], both[1::2]


def total(vector):
    """The sum of the lanes."""
    return vector.sum(dtype=np.float32)


def registers(*shape):
    """A block of vectors, all 0, to sum in."""
    return np.zeros((*shape, LANES), np.float32)


# How a float32 is written in its 32 bits: the sign, 8 bits of exponent (127 stands for 0), 23 bits behind the point.
MANTISSA_BITS, BIAS = 23, 127
MAGIC = np.float32(1.5 * 2**23)  # so large that neighbours are 1 apart: to add it rounds to a whole number
ROOT_HALF = np.float32(0.5**0.5)


def power_of_two(n):
    """2 to the n for whole numbers from -126 to 127, lane by lane; of any other number, anything.

    After ``n + MAGIC`` the whole number stands in the lowest bits. Moved up to where the exponent has its place, with
    127 added to it, it is a float32 with nothing behind the point: the power.
    """
    bits = (np.asarray(n, np.float32) + MAGIC).view(np.int32)
    return ((bits << MANTISSA_BITS) + (BIAS << MANTISSA_BITS)).view(np.float32)


def split(v):
    """m from sqrt(1/2) to sqrt(2) and whole numbers n, so that ``v = m * 2**n``; for normal numbers above 0.

    The bits of v, seen as an integer, are 2**23 larger for each doubling. So the distance to the bits of sqrt(1/2) tells
    how many doublings lie between.
    """
    bits = np.asarray(v, np.float32).view(np.int32)
    n = (bits - ROOT_HALF.view(np.int32)) >> MANTISSA_BITS
    return (bits - (n << MANTISSA_BITS)).view(np.float32), n.astype(np.float32)


# ---------------------------------------------------------------------------------------------------------
# Their types, for Numba


class Vector(types.Type):
    """LANES float32 numbers in one register."""

    def __init__(self):
        super().__init__(name=f"vector{LANES}")


class Mask(types.Type):
    """LANES truth values."""

    def __init__(self):
        super().__init__(name=f"mask{LANES}")


class Registers(types.Type):
    """A block of vectors; its shape is a part of the type, so that it is known while compiling."""

    def __init__(self, shape):
        self.shape = shape
        super().__init__(name=f"registers{LANES}{shape}")


_FLOAT, _INDEX = ir.FloatType(), ir.IntType(64)
_FLOATS = ir.VectorType(_FLOAT, LANES)
_TRUTHS = ir.VectorType(ir.IntType(1), LANES)


def _block(shape):
    return ir.ArrayType(_FLOATS, math.prod(shape))


def _represent(numba_type, llvm_type):
    """Tell Numba what a value of ``numba_type`` is in the machine."""

    @register_model(numba_type)
    class Model(models.PrimitiveModel):
        def __init__(self, manager, instance):
            super().__init__(manager, instance, llvm_type(instance))


_represent(Vector, lambda _: _FLOATS)
_represent(Mask, lambda _: _TRUTHS)
_represent(Registers, lambda block: _block(block.shape).as_pointer())


# ---------------------------------------------------------------------------------------------------------
# Their machine code

_VECTOR, _MASK, _PAIR = Vector(), Mask(), types.UniTuple(Vector(), 2)
_OPERAND = (Vector, types.Number, types.Boolean)
_PLACE = (types.Integer, types.BaseTuple)


def compiled(function, result, *operands):
    """Decorate the writer of the instructions of ``function`` for operands of these types.

    The writer gets a ``_Code`` and the operands as LLVM values. ``result`` is the type of what it returns, or
    a function from the operands' types to that. A tuple lists alternatives; after ``...`` at the end more operands
    may follow.
    """
    many = operands[-1] is ...
    kinds = operands[: len(operands) - many]

    class Typing(AbstractTemplate):
        def generic(self, arguments, keywords):
            enough = len(arguments) == len(kinds) or (many and len(arguments) > len(kinds))
            if enough and all(map(isinstance, arguments, kinds)):
                chosen = result if isinstance(result, types.Type) else result(*arguments)
                return chosen and signature(chosen, *arguments)
            return None

    def attach(write):
        def lower(context, builder, sig, arguments):
            value = write(_Code(context, builder, sig), *arguments)
            return context.get_dummy_value() if sig.return_type == types.none else value

        infer_global(function)(Typing)
        further = [types.VarArg(types.Any)] * many
        for choice in product(*(kind if isinstance(kind, tuple) else [kind] for kind in kinds)):
            lower_builtin(function, *choice, *further)(lower)
        return write

    return attach


class _Code:
    """LLVM's instruction builder, with the few idioms that the words share."""

    def __init__(self, context, builder, sig):
        self.context, self.builder = context, builder
        self.types, self.result = sig.args, sig.return_type

    def convert(self, value, kind, to):
        return self.context.cast(self.builder, value, kind, to)

    def integers(self, values, kinds):
        return [self.convert(v, k, types.intp) for v, k in zip(values, kinds, strict=True)]

    def call(self, name, result, *arguments):
        """Call one of LLVM's own functions."""
        kind = ir.FunctionType(result, [a.type for a in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}")
        return self.builder.call(function, arguments)

    def shuffle(self, u, v, lanes):
        """Pick lanes: 0 to LANES-1 are those of ``u``, the next LANES those of ``v``."""
        pick = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(lanes))
        return self.builder.shuffle_vector(u, v, pick)

    def copies(self, number):
        """LANES copies of a number."""
        blank = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
        one = self.builder.insert_element(blank, number, ir.IntType(32)(0))
        return self.shuffle(one, blank, [0] * LANES)

    def vector(self, value, kind):
        """An operand as a vector: itself, or LANES copies of a number."""
        if isinstance(kind, Vector):
            return value
        return self.copies(self.convert(value, kind, types.float32))

    def floats(self, lanes):
        """Lanes of small unsigned integers as float32; those of float32 as they are."""
        return lanes if lanes.type == _FLOATS else self.builder.uitofp(lanes, _FLOATS)

    def address(self, array, index, array_type, index_types):
        """Where array[index] lies, seen as LANES elements. No bounds are checked."""
        view = self.context.make_array(array_type)(self.context, self.builder, array)
        index = self.integers(index, index_types)
        place = cgutils.get_item_pointer(self.context, self.builder, array_type, view, index)
        lanes = ir.VectorType(self.context.get_data_type(array_type.dtype), LANES)
        return self.builder.bitcast(place, lanes.as_pointer())

    def first(self, count, kind):
        """Whether ``count`` makes a whole vector, and the mask of the first ``count`` lanes.

        Instructions with a mask are slow before AVX-512. So ``load_first`` and ``store_first`` branch: whole vectors,
        all but the last of a row, take the ordinary ones.
        """
        count = self.convert(count, kind, types.intp)
        lane = ir.Constant(ir.VectorType(_INDEX, LANES), list(range(LANES)))
        whole = self.builder.icmp_signed(">=", count, _INDEX(LANES))
        return whole, self.builder.icmp_signed("<", lane, self.copies(count))

    def slot(self, block, index):
        """Where one vector of a block of registers is kept, row by row."""
        kind, index_type, *_ = self.types
        if isinstance(index_type, types.BaseTuple):
            index = self.integers(cgutils.unpack_tuple(self.builder, index), index_type)
        else:
            index = self.integers([index], [index_type])
        offset = _INDEX(0)
        for size, i in zip(kind.shape, index, strict=True):
            offset = self.builder.add(self.builder.mul(offset, _INDEX(size)), i)
        return self.builder.gep(block, [_INDEX(0), offset], inbounds=True)


@compiled(load, _VECTOR, types.Array, ...)
def _(code, array, *index):
    lanes = code.builder.load(code.address(array, index, code.types[0], code.types[1:]))
    lanes.align = code.types[0].dtype.bitwidth // 8  # a row may begin at any element
    return code.floats(lanes)


@compiled(spread, _VECTOR, types.Array, ...)
def _(code, array, *index):
    view = code.context.make_array(code.types[0])(code.context, code.builder, array)
    index = code.integers(index, code.types[1:])
    place = cgutils.get_item_pointer(code.context, code.builder, code.types[0], view, index)
    return code.copies(code.builder.load(place))


@compiled(load_first, _VECTOR, types.Integer, types.Array, ...)
def _(code, count, array, *index):
    counted, kind, *index_types = code.types
    place = code.address(array, index, kind, index_types)
    zeros, size = ir.Constant(place.type.pointee, None), kind.dtype.bitwidth
    letter = "f" if kind.dtype == types.float32 else "i"
    name, align = f"masked.load.v{LANES}{letter}{size}.p0", ir.IntType(32)(size // 8)
    whole, mask = code.first(count, counted)
    with code.builder.if_else(whole) as (then, otherwise):
        with then:
            all_lanes = code.builder.load(place)
            all_lanes.align = size // 8
            all_block = code.builder.block
        with otherwise:
            some_lanes = code.call(name, zeros.type, place, align, mask, zeros)
            some_block = code.builder.block
    lanes = code.builder.phi(zeros.type)
    lanes.add_incoming(all_lanes, all_block)
    lanes.add_incoming(some_lanes, some_block)
    return code.floats(lanes)


@compiled(store, types.none, Vector, types.Array, ...)
def _(code, vector, array, *index):
    place = code.address(array, index, code.types[1], code.types[2:])
    code.builder.store(vector, place).align = 4


@compiled(store_first, types.none, types.Integer, Vector, types.Array, ...)
def _(code, count, vector, array, *index):
    place = code.address(array, index, code.types[2], code.types[3:])
    name, align = f"masked.store.v{LANES}f32.p0", ir.IntType(32)(4)
    whole, mask = code.first(count, code.types[0])
    with code.builder.if_else(whole) as (then, otherwise):
        with then:
            code.builder.store(vector, place).align = 4
        with otherwise:
            code.call(name, ir.VoidType(), vector, place, align, mask)


def _lane_by_lane(function, result, write):
    """Give ``function`` a meaning for two vectors, and for a vector and a number."""
    for left, right in ((Vector, _OPERAND), (_OPERAND[1:], Vector)):

        @compiled(function, result, left, right)
        def _(code, u, v):
            return write(code.builder, *map(code.vector, (u, v), code.types))


_FUSE = ("contract",)  # a product and the sum that it goes into may become one instruction
_ARITHMETIC: tuple[Any, ...] = (
    ((operator.add, operator.iadd), lambda b, u, v: b.fadd(u, v, flags=_FUSE)),
    ((operator.sub, operator.isub), lambda b, u, v: b.fsub(u, v, flags=_FUSE)),
    ((operator.mul, operator.imul), lambda b, u, v: b.fmul(u, v, flags=_FUSE)),
    ((operator.truediv, operator.itruediv), lambda b, u, v: b.fdiv(u, v)),
    ((maximum,), lambda b, u, v: b.select(b.fcmp_ordered("<=", u, v), v, u)),
)
for _words, _write in _ARITHMETIC:
    for _word in _words:
        _lane_by_lane(_word, _VECTOR, _write)
_lane_by_lane(operator.eq, _MASK, lambda b, u, v: b.fcmp_ordered("==", u, v))
_lane_by_lane(operator.gt, _MASK, lambda b, u, v: b.fcmp_ordered(">", u, v))
_lane_by_lane(operator.le, _MASK, lambda b, u, v: b.fcmp_ordered("<=", u, v))


@compiled(where, _VECTOR, Mask, _OPERAND, _OPERAND)
def _(code, mask, u, v):
    return code.builder.select(mask, *map(code.vector, (u, v), code.types[1:]))


@compiled(interleave, _PAIR, Vector, Vector)
def _(code, u, v):
    turns = [lane for i in range(LANES) for lane in (i, LANES + i)]
    halves = [code.shuffle(u, v, turns[:LANES]), code.shuffle(u, v, turns[LANES:])]
    return code.context.make_tuple(code.builder, code.result, halves)


@compiled(deinterleave, _PAIR, Vector, Vector)
def _(code, u, v):
    halves = [code.shuffle(u, v, range(first, 2 * LANES, 2)) for first in (0, 1)]
    return code.context.make_tuple(code.builder, code.result, halves)


@compiled(total, types.float32, Vector)
def _(code, vector):
    value = code.call(f"vector.reduce.fadd.v{LANES}f32", _FLOAT, _FLOAT(0), vector)
    value.fastmath.add("reassoc")  # by halves, not lane after lane
    return value


def _constant_shape(*sizes):
    if not all(isinstance(size, types.IntegerLiteral) for size in sizes):
        raise TypingError("the sizes of registers(...) must be constants of the source")
    return Registers(tuple(size.literal_value for size in sizes))


@compiled(registers, _constant_shape, types.Integer, ...)
def _(code, *sizes):
    kind = _block(code.result.shape)
    block = cgutils.alloca_once(code.builder, kind)  # memory in name: LLVM moves it into registers
    code.builder.store(ir.Constant(kind, None), block)
    return block


@compiled(operator.getitem, _VECTOR, Registers, _PLACE)
def _(code, block, index):
    return code.builder.load(code.slot(block, index))


@compiled(operator.setitem, types.none, Registers, _PLACE, Vector)
def _(code, block, index, vector):
    code.builder.store(vector, code.slot(block, index))


_BITS = ir.VectorType(ir.IntType(32), LANES)
_UP = ir.Constant(_BITS, [MANTISSA_BITS] * LANES)


@compiled(power_of_two, _VECTOR, Vector)
def _(code, n):
    b = code.builder
    bits = b.bitcast(b.fadd(n, ir.Constant(_FLOATS, [float(MAGIC)] * LANES)), _BITS)
    one = ir.Constant(_BITS, [BIAS << MANTISSA_BITS] * LANES)
    return b.bitcast(b.add(b.shl(bits, _UP), one), _FLOATS)


@compiled(split, _PAIR, Vector)
def _(code, vector):
    b = code.builder
    bits = b.bitcast(vector, _BITS)
    root_half = ir.Constant(_BITS, [int(ROOT_HALF.view(np.int32))] * LANES)
    n = b.ashr(b.sub(bits, root_half), _UP)
    near_one = b.bitcast(b.sub(bits, b.shl(n, _UP)), _FLOATS)
    return code.context.make_tuple(b, code.result, [near_one, b.sitofp(n, _FLOATS)])
