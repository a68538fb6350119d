"""Memory is lent again only when nobody can look at it any more."""

import gc
import itertools
import sys
import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisegnet import buffers, losses, no_grad
from minisegnet.buffers import CHUNK, LINE, PAGE, SMALLEST, Chunk, Pool, fresh, fresh_like
from minisegnet.models.unet import UNet

LARGE = (8, SMALLEST)  # of bytes: half a megabyte


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    own = Pool(1 << 30)
    monkeypatch.setattr(buffers, "POOL", own)
    return own


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("shape", [3, (), (0,), (0, 1 << 20), (5, 7), (3, SMALLEST), 2 * SMALLEST])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool, np.uint8])
def test_fresh_is_an_ordinary_array(shape: Any, dtype: Any) -> None:
    a = fresh(shape, dtype)
    expected = np.empty(shape, dtype)
    assert type(a) is np.ndarray and a.shape == expected.shape and a.dtype == dtype
    assert a.flags.c_contiguous and a.flags.writeable and a.flags.aligned
    a[...] = 1
    assert a.sum() == a.size
    b = fresh_like(a)
    assert b.shape == a.shape and b.dtype == a.dtype and not np.shares_memory(a, b)
    if a.nbytes >= SMALLEST:
        assert address(a) % LINE == address(b) % LINE == 0


def test_a_block_comes_back_when_its_array_goes(pool: Pool) -> None:
    a = fresh(LARGE, np.uint8)
    first = address(a)
    del a
    assert address(fresh(LARGE, np.uint8)) == first


@pytest.mark.parametrize(
    "look",
    [
        lambda a: a[3:, ::2],
        lambda a: a.T[5:][::-1].view(np.int8),
        lambda a: a.ravel()[1:][1:].reshape(-1, 1),
        lambda a: memoryview(a),
        lambda a: np.asarray(memoryview(a))[2:],
        lambda a: np.broadcast_to(a[:1], (4, *a[:1].shape)),
        lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, axis=0),
        lambda a: iter(a),
        lambda a: a.flat,
        lambda a: lambda: a[0],
        lambda a: np.from_dlpack(a)[1:],
        lambda a: a.view(np.ma.MaskedArray)[2:],
    ],
)
def test_never_while_a_view_of_it_lives(pool: Pool, look: Any) -> None:
    a = fresh(LARGE, np.uint8)
    a[:] = 1
    first, view = address(a), look(a)
    del a
    others = [fresh(LARGE, np.uint8) for _ in range(3)]
    for other in others:
        assert address(other) != first
        other[:] = 2
    del view, others
    gc.collect()
    assert first in [address(a) for a in [fresh(LARGE, np.uint8) for _ in range(4)]]


def test_a_cycle_gives_its_block_back_when_it_is_collected(pool: Pool) -> None:
    cycle: list[Any] = [fresh(LARGE, np.uint8)]
    cycle.append(cycle)
    first = address(cycle[0])
    del cycle
    gc.collect()
    assert address(fresh(LARGE, np.uint8)) == first


def test_a_smaller_array_takes_the_beginning_of_a_free_piece_and_the_next_one_the_rest(pool: Pool) -> None:
    first = address(fresh(100 * PAGE, np.uint8))
    one, two = fresh(60 * PAGE, np.uint8), fresh(40 * PAGE, np.uint8)
    assert (address(one), address(two)) == (first, first + 60 * PAGE)
    assert pool.lent == 100 * PAGE and pool.idle == 0


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_free_neighbours_grow_together(pool: Pool, order: tuple[int, ...]) -> None:
    arrays: list[Any] = [fresh(size * PAGE, np.uint8) for size in (100, 30, 200)]
    end = fresh(20 * PAGE, np.uint8)
    first = address(arrays[0])
    for i in order:
        arrays[i] = None
    assert address(fresh(330 * PAGE, np.uint8)) == first < address(end)
    assert pool.most_lent == 350 * PAGE  # and no more than that has ever been touched
    assert pool.lent == 350 * PAGE and pool.idle == 0


def test_a_chunk_that_nobody_uses_makes_room_for_a_larger_one(pool: Pool) -> None:
    fresh(3 * PAGE, np.uint8)
    fresh(SMALLEST, np.uint8)
    assert [chunk.size for chunk in pool.chunks] == [CHUNK]
    large = fresh(CHUNK + PAGE, np.uint8)
    assert [chunk.size for chunk in pool.chunks] == [large.nbytes]
    small = fresh(SMALLEST, np.uint8)
    assert [chunk.size for chunk in pool.chunks] == [large.nbytes, CHUNK] and not np.shares_memory(
        large, small
    )


def test_where_untouched_memory_counts_a_chunk_is_as_large_as_it_must(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Strict(Chunk):
        def __init__(self, size: int) -> None:
            if size >= CHUNK:
                raise MemoryError
            super().__init__(size)

    monkeypatch.setattr(buffers, "Chunk", Strict)
    a = fresh(LARGE, np.uint8)
    assert [chunk.size for chunk in pool.chunks] == [a.nbytes]


@pytest.mark.parametrize("training", [True, False])
def test_little_more_is_touched_than_a_network_needs_at_the_busiest_moment(
    pool: Pool, fast: str, training: bool
) -> None:
    model = UNet(3, 5, width=8, depth=3)
    x = np.random.default_rng(0).standard_normal((4, 3, 96, 128)).astype(np.float32)

    def run() -> None:
        if training:
            losses.cross_entropy(model(x), np.zeros((4, 96, 128), np.int64)).backward()
        else:
            with no_grad():
                model.eval()(x)

    run()
    before = pool.most_lent
    for _ in range(3):
        run()
    assert pool.most_lent <= 1.05 * before
    assert pool.lent + pool.idle <= 1.3 * pool.most_lent


@given(st.lists(st.tuples(st.booleans(), st.integers(SMALLEST, 20 * SMALLEST)), max_size=40))
def test_whatever_comes_and_goes(moves: list[tuple[bool, int]]) -> None:
    own, before = Pool(1 << 22), buffers.POOL
    buffers.POOL = own
    try:
        held: list[Any] = []
        for number, (take, size) in enumerate(moves):
            a = b = None  # or they would hold arrays that aren't in the list
            if take or not held:
                held.append(fresh(size, np.uint8))
                held[-1][:] = number % 251
                held[-1][0] = len(held) % 251
            else:
                del held[size % len(held)]
            returned = sum(piece.size for piece in own.returned)
            assert own.lent == sum(-(-a.nbytes // PAGE) * PAGE for a in held) + returned
            for chunk in own.chunks:
                parts = sorted(chunk.end_of.items())
                places = [place for part in parts for place in part]
                assert places == sorted(set(places)) and all(0 <= place <= chunk.size for place in places)
                assert sorted((begin, begin + size) for size, begin in chunk.free) == parts
                assert {end: begin for begin, end in parts} == chunk.begin_of
            for a, b in pairwise(held):
                assert not np.shares_memory(a, b)
            for a in held:
                assert (a[1:] == a[1]).all()
        assert own.lent >= sum(a.nbytes for a in held)
    finally:
        buffers.POOL = before


def test_idle_memory_has_a_limit_and_can_be_forgotten(pool: Pool) -> None:
    fresh(CHUNK - PAGE, np.uint8)
    one, two = fresh(PAGE * 20, np.uint8), fresh(CHUNK, np.uint8)  # the second needs a chunk of its own
    assert len(pool.chunks) == 2
    pool.most_idle = CHUNK
    del two
    fresh(SMALLEST, np.uint8)
    assert len(pool.chunks) == 1 and pool.idle == CHUNK - 21 * PAGE - SMALLEST
    del one
    buffers.forget()
    assert pool.idle == pool.lent == 0 and pool.chunks == []


def test_several_threads_never_get_the_same_block(pool: Pool) -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(200):
            a = fresh(SMALLEST, np.uint8)
            a[:] = number
            b = fresh(2 * SMALLEST, np.uint8)
            b[:] = number
            if not ((a == number).all() and (b == number).all()):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    buffers.forget()
    assert pool.lent == pool.idle == 0


def test_too_much_is_a_memory_error_and_nothing_is_lost(pool: Pool) -> None:
    with pytest.raises(MemoryError):
        fresh(1 << 60, np.uint8)
    gc.collect()
    fresh(LARGE, np.uint8)
    buffers.forget()
    assert pool.lent == 0


def test_poison_fills_what_is_lent_with_nan(pool: Pool) -> None:
    pool.poison = True
    assert np.isnan(fresh((3, 5))).all() and np.isnan(fresh((3, SMALLEST), np.float64)).all()
    assert (fresh(4, np.int64) == -1).all()


class Interrupter:
    """Raises KeyboardInterrupt before the n-th line that runs in a Chunk, as Ctrl-C may."""

    def __init__(self, n: int) -> None:
        self.left, self.came = n, False

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != buffers.__file__ or not isinstance(frame.f_locals.get("self"), Chunk):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self.came = True
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("n", range(1, 70))
def test_after_ctrl_c_no_memory_is_lent_twice(n: int) -> None:
    chunk, rng = Chunk(64 * PAGE), np.random.default_rng(n)
    held: dict[int, int] = {}

    def move() -> None:
        size = int(rng.integers(1, 9)) * PAGE
        if rng.random() < 0.55 or not held:
            begin = chunk.take(size)
            if begin is not None:
                held[begin] = size
        else:
            begin = list(held)[int(rng.integers(len(held)))]
            chunk.take_back(begin, held.pop(begin))  # a piece whose return is interrupted may be lost

    for _ in range(12):
        move()
    interrupter, before = Interrupter(n), sys.gettrace()
    sys.settrace(interrupter)
    try:
        while not interrupter.came:
            move()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    for _ in range(300):
        move()
        parts = sorted([*held.items(), *((begin, size) for size, begin in chunk.free)])
        assert all(begin + size <= after for (begin, size), (after, _) in pairwise(parts))
        assert all(0 <= begin and begin + size <= chunk.size for begin, size in parts)
