"""The loader: order and bits are functions of seed and step; threads neither change, lose, swallow nor outlive them."""

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import examples

from minisegnet.arrays import Array
from minisegnet.data.augment import build
from minisegnet.data.augment.draw import stream
from minisegnet.data.loader import THREAD_NAME, Batch, Loader, as_batch, order
from minisegnet.data.sample import Dataset, Sample
from minisegnet.data.statistics import Normalisation

GUARD = 60  # seconds after which a test that hangs is ended


class Pictures(Dataset):
    """Pictures made of their number. ``before`` is called with it whenever one is read."""

    name = "pictures"
    class_names = ("even", "odd")
    palette = ((0, 0, 0), (255, 255, 255))
    channels = 3

    def __init__(
        self, count: int, *, size: tuple[int, int] = (8, 8), before: Callable[[int], object] = lambda i: None
    ) -> None:
        self.count, self.size, self.before, self.reads = count, size, before, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Sample:
        self.reads += 1
        self.before(i)
        image = np.random.default_rng(i).integers(0, 256, (*self.size, 3), np.uint8)
        return Sample(image, (image[..., 0] % 2).astype(np.uint8), None, f"{i}.png")


NORMALISATION = Normalisation(mean=(0.5, 0.25, 0.5), std=(0.25, 0.25, 0.5))


def make(dataset: Dataset, **options: Any) -> Loader:
    return Loader(dataset, **{"batch": 4, "normalisation": NORMALISATION, **options})


def same(a: Batch, b: Batch) -> bool:
    return np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)


def alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


@pytest.fixture(autouse=True)
def guard() -> Iterator[None]:
    """End a test that hangs, and see that no thread is left over."""

    def hang(number: int, frame: object) -> None:
        raise TimeoutError(f"the test took more than {GUARD} s; threads: {alive()}")

    if not hasattr(signal, "SIGALRM"):
        yield
    else:
        before = signal.signal(signal.SIGALRM, hang)
        signal.alarm(GUARD)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
    assert alive() == []


# ---------------------------------------------------------------------------------------------------------
# Order


@settings(max_examples=examples(50))
@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**64 - 1))
def test_every_epoch_shows_every_picture_once(count: int, batch: int, seed: int) -> None:
    loader = make(Pictures(count, size=(1, 1)), batch=batch, seed=seed)
    shown = [loader.sample(position).name for position in range(3 * count)]
    everything = sorted(f"{i}.png" for i in range(count))
    for epoch in range(3):
        assert sorted(shown[epoch * count : (epoch + 1) * count]) == everything
    positions = range(2 * batch, 3 * batch)  # a batch is those positions, also where an epoch ends in it
    expected = as_batch([loader.sample(position) for position in positions], NORMALISATION)
    assert same(loader.batch(2), expected) and len(expected.images) == batch
    assert loader.epoch(2) == 2 * batch // count


def test_order_changes_with_epoch_and_seed() -> None:
    orders = [tuple(order(20, seed, epoch)) for seed in (0, 1, 2**63) for epoch in range(5)]
    assert len(set(orders)) == len(orders)
    assert orders[0] == tuple(order(20, 0, 0))
    with pytest.raises(ValueError, match="read-only"):
        order(20, 0, 0)[0] = 1


def test_order_is_repeated_for_ever() -> None:
    """Runs are only repeated if this stays: Philox with the two words seed and epoch as its key."""
    assert order(8, 3, 2).tolist() == [7, 6, 4, 5, 1, 0, 3, 2]


def test_order_and_augmentation_have_different_streams() -> None:
    first = np.random.Generator(np.random.Philox(key=np.array([5, 0], np.uint64))).random(4)
    for number in range(9):
        for key in ((5, 0), (5, 0, 0)):
            assert not np.isclose(stream(key, number).random(4), first).any()


def test_steps() -> None:
    loader = make(Pictures(10, size=(1, 1)), batch=4)
    assert [loader.steps(epochs) for epochs in (0, 1, 2, 3, 0.1, 0.4, 0.5, 1.1)] == [0, 3, 5, 8, 1, 1, 2, 3]
    one = make(Pictures(10, size=(1, 1)), batch=1)
    assert [one.steps(epochs) for epochs in (0.1, 1.1, np.float64(1.1), 2)] == [1, 11, 11, 20]
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="epochs"):
            loader.steps(wrong)
    with pytest.raises(TypeError, match="epochs"):
        loader.steps("3")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------
# Batches


def test_what_a_batch_is() -> None:
    loader = make(Pictures(6, size=(5, 7)), batch=3)
    batch = loader.batch(0)
    assert batch.images.shape == (3, 3, 5, 7) and batch.images.dtype == np.float32
    assert batch.labels.shape == (3, 5, 7) and batch.labels.dtype == np.int64
    assert batch.images.flags.c_contiguous and batch.labels.flags.c_contiguous
    sample = loader.dataset[int(order(6, 0, 0)[1])]
    for channel in range(3):
        mean, std = NORMALISATION.mean[channel], NORMALISATION.std[channel]
        expected = (sample.image[..., channel] / 255 - mean) / std
        np.testing.assert_allclose(batch.images[1, channel], expected, atol=1e-5)
    np.testing.assert_array_equal(batch.labels[1], sample.labels)


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    options: dict[str, Any] = {"augmentation": build("flip+scale+colour"), "crop": (6, 5)}
    loader = make(Pictures(7), **options)
    batches = [loader.batch(step) for step in range(6)]
    assert all(batch.images.shape == (4, 3, 6, 5) for batch in batches)
    assert len({batch.images.tobytes() for batch in batches}) == 6
    again = make(Pictures(7), **options)
    assert all(same(again.batch(step), batches[step]) for step in (5, 0, 3, 3))
    other = make(Pictures(7), seed=1, **options)
    assert not same(other.batch(0), batches[0])


def test_each_epoch_has_other_variants() -> None:
    loader = make(Pictures(2), batch=2, augmentation=build("colour"))
    by_name: dict[str, set[bytes]] = {}
    for position in range(8):
        sample = loader.sample(position)
        by_name.setdefault(sample.name, set()).add(sample.image.tobytes())
    assert [len(variants) for variants in by_name.values()] == [4, 4]


@pytest.mark.parametrize("threads", [1, 2, 4, 16])
def test_threads_change_nothing(threads: int) -> None:
    options: dict[str, Any] = {"augmentation": build("flip+rotate+colour+elastic"), "crop": 6}

    def uneven(i: int) -> None:
        time.sleep(0.002 * (i % 3))

    plain = list(make(Pictures(9), threads=0, **options).batches(2, 14))
    threaded = list(make(Pictures(9, before=uneven), threads=threads, **options).batches(2, 14))
    assert len(plain) == len(threaded) == 12
    assert all(same(a, b) for a, b in zip(plain, threaded, strict=True))
    assert same(plain[3], make(Pictures(9), **options).batch(5))


@pytest.mark.parametrize("threads", [0, 3])
def test_first_and_last(threads: int) -> None:
    loader = make(Pictures(5), threads=threads)
    assert list(loader.batches(3, 3)) == [] and list(loader.batches(4, 2)) == []
    endless = loader.batches()
    assert same([next(endless) for _ in range(8)][7], loader.batch(7))
    endless.close()
    assert alive() == []
    for wrong in ({"first": -1}, {"last": -1}):
        with pytest.raises(ValueError, match="expected an integer"):
            loader.batches(**wrong)  # at once, not when the first batch is asked for


# ---------------------------------------------------------------------------------------------------------
# Threads


def test_slow_consumer_and_many_threads() -> None:
    """Only as many batches are read ahead as there are threads, however long the consumer takes."""
    dataset = Pictures(64)
    loader = make(dataset, batch=2, threads=8, cache_bytes=0, scratch_bytes=0)
    for taken, _ in enumerate(loader.batches(0, 40), start=1):
        time.sleep(0.002)
        assert dataset.reads <= 2 * (taken + 8)
    assert dataset.reads == 80 and alive() == []


def failing_at(number: int) -> Callable[[int], None]:
    def before(i: int) -> None:
        if i == number:
            raise OSError("the file is damaged")

    return before


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_an_error_arrives_at_its_batch(threads: int) -> None:
    bad = int(order(40, 0, 0)[13])  # position 13: in batch 3
    loader = make(Pictures(40, before=failing_at(bad)), threads=threads)
    batches = loader.batches(0, 10)
    for step in range(3):
        assert same(next(batches), make(Pictures(40)).batch(step))
    with pytest.raises(OSError, match="the file is damaged") as caught:
        next(batches)
    assert caught.value.__notes__ == [f"It was picture {bad} of 'pictures', at position 13 in epoch 0."]
    assert "before" in [entry.name for entry in caught.traceback]  # the worker's own lines
    assert alive() == []
    with pytest.raises(StopIteration):
        next(batches)


def test_an_error_in_an_augmentation_names_the_picture() -> None:
    class Wrong(Pictures):
        def __getitem__(self, i: int) -> Sample:
            sample = super().__getitem__(i)
            return sample._replace(labels=np.zeros((3, 3), np.uint8)) if i == 2 else sample

    with pytest.raises(ValueError, match=r"'2.png': labels have shape") as caught:
        list(make(Wrong(4), threads=2).batches(0, 3))
    assert "picture 2 (2.png) of 'pictures'" in caught.value.__notes__[0]


def test_breaking_off() -> None:
    for _ in make(Pictures(8), threads=3).batches():
        break
    assert alive() == []  # CPython collects the iterator at once
    with pytest.raises(KeyError):
        consume_and_fail(make(Pictures(8), threads=3))
    gc.collect()
    assert alive() == []


def consume_and_fail(loader: Loader) -> None:
    for _ in loader.batches():
        raise KeyError("the consumer's own error")


def test_ctrl_c_does_not_wait_for_whole_batches() -> None:
    """Threads look between two pictures whether anyone still waits."""
    dataset = Pictures(1000, size=(1, 1), before=lambda i: time.sleep(0.01))
    batches = make(dataset, batch=500, threads=2).batches()  # 5 s each
    main = threading.main_thread().ident
    assert main is not None
    interrupt = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        next(batches)
    interrupt.join()
    assert alive() == [] and 0 < dataset.reads < 500


def test_an_iterator_collected_in_one_of_its_own_threads() -> None:
    """A forgotten iterator in a reference cycle may be collected in any thread; joining itself would be an error."""
    reached, go = threading.Event(), threading.Event()

    def collect(i: int) -> None:
        if dataset.reads > 2:
            reached.set()
            go.wait(GUARD)
            gc.collect()

    dataset = Pictures(50, before=collect)
    batches = make(dataset, batch=1, threads=2, cache_bytes=0, scratch_bytes=0).batches()
    gc.disable()  # so that nobody else collects it
    try:
        next(batches)
        assert reached.wait(GUARD)
        cycle: list[Any] = [batches]
        cycle.append(cycle)
        del batches, cycle
        go.set()
        deadline = time.monotonic() + GUARD / 2
        while alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert alive() == [] and dataset.reads < 10
    finally:
        go.set()
        gc.enable()


# ---------------------------------------------------------------------------------------------------------
# Cache


def test_the_cache_is_bounded_and_changes_nothing() -> None:
    one = 8 * 8 * 3 + 8 * 8  # bytes of a sample
    expected = [make(Pictures(10), cache_bytes=0, scratch_bytes=0).batch(step) for step in range(8)]
    for room, kept in ((0, 0), (one - 1, 0), (one, 1), (4 * one + 5, 4), (10**9, 10)):
        dataset = Pictures(10)
        loader = make(dataset, cache_bytes=room, scratch_bytes=0, threads=0)
        assert all(same(a, b) for a, b in zip(expected, loader.batches(0, 8), strict=True))
        assert len(loader.cache.kept) == kept and loader.cache.used == kept * one <= room
        assert (
            dataset.reads
            == 10
            + 22
            - sum(  # 32 positions; those in later epochs of pictures that are kept: none
                int(order(10, 0, position // 10)[position % 10]) in loader.cache.kept
                for position in range(10, 32)
            )
        )
    threaded = make(Pictures(10), cache_bytes=3 * one, scratch_bytes=0, threads=8)
    assert all(same(a, b) for a, b in zip(expected, threaded.batches(0, 8), strict=True))
    assert threaded.cache.used == len(threaded.cache.kept) * one <= 3 * one


def test_what_does_not_fit_into_memory_is_kept_on_disk_and_changes_nothing() -> None:
    one = 8 * 8 * 3 + 8 * 8  # bytes of a sample
    expected = [make(Pictures(10), cache_bytes=0, scratch_bytes=0).batch(step) for step in range(8)]
    for room, on_disk, kept in ((0, None, 10), (4 * one, None, 10), (4 * one, 6 * one, 10), (0, 3 * one, 3)):
        dataset = Pictures(10)
        loader = make(dataset, cache_bytes=room, scratch_bytes=on_disk, threads=0)
        assert all(same(a, b) for a, b in zip(expected, loader.batches(0, 8), strict=True))
        positions = [int(order(10, 0, p // 10)[p % 10]) for p in range(32)]
        assert dataset.reads == 10 + sum(number not in loader.cache.kept for number in positions[10:])
        assert len(loader.cache.kept) == kept
    threaded = make(Pictures(10), cache_bytes=one, threads=8)
    assert all(same(a, b) for a, b in zip(expected, threaded.batches(0, 8), strict=True))


def test_the_cache_never_waits_and_never_holds_more_than_it_counts() -> None:
    class Views(Pictures):
        def __getitem__(self, i: int) -> Sample:
            sample = super().__getitem__(i)
            assert sample.labels is not None
            return Sample(sample.image[:4], sample.labels[:4], np.zeros((8, 8), np.int32)[:4], sample.name)

    loader = make(Views(5), threads=0)
    with loader.cache.lock:  # as if another thread were in it
        held = loader.batch(0)
        assert loader.cache.kept == {}
    assert same(loader.batch(0), held)
    for sample in loader.cache.kept.values():
        for array in sample[:3]:
            assert array is not None and array.base is None


def test_batches_do_not_reach_into_the_cache() -> None:
    loader = make(Pictures(4), threads=0)
    first = loader.batch(0)
    before = Batch(first.images.copy(), first.labels.copy())
    loader.sample(0).image[:] = 0
    first.images[:], first.labels[:] = 0, 0
    assert same(loader.batch(0), before)


# ---------------------------------------------------------------------------------------------------------
# Errors


def sized(*size: int, name: str = "", labels: bool = True, channels: int = 3) -> Sample:
    maps: Array | None = np.zeros(size, np.uint8) if labels else None
    return Sample(np.zeros((*size, channels), np.uint8), maps, None, name)


def test_pictures_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match=r"'b' is \(4, 6\), picture 'a' is \(4, 5\).*pass crop=\(h, w\)"):
        as_batch([sized(4, 5, name="a"), sized(4, 6, name="b")], NORMALISATION)
    with pytest.raises(ValueError, match="sample 1 has 1 channels, sample 0 has 3"):
        as_batch([sized(4, 5), sized(4, 5, channels=1)], NORMALISATION)
    with pytest.raises(ValueError, match="'a' has no labels"):
        as_batch([sized(4, 5, name="a", labels=False)], NORMALISATION)
    with pytest.raises(TypeError, match="'a' has labels of float64; expected integers"):
        as_batch([sized(4, 5, name="a")._replace(labels=np.zeros((4, 5)))], NORMALISATION)
    with pytest.raises(ValueError, match=r"shape \(4, 5, 3\), its labels \(1, 5\)"):
        as_batch([sized(4, 5)._replace(labels=np.zeros((1, 5), np.uint8))], NORMALISATION)
    with pytest.raises(ValueError, match="samples are empty"):
        as_batch([], NORMALISATION)

    class Uneven(Pictures):
        def __getitem__(self, i: int) -> Sample:
            return sized(8, 8 + i, name=f"{i}.png")

    with pytest.raises(ValueError, match="pass crop"):
        make(Uneven(4)).batch(0)
    assert make(Uneven(4), crop=(6, 7)).batch(0).images.shape == (4, 3, 6, 7)
    assert make(Uneven(4), batch=1).batch(0).images.shape[0] == 1


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="'pictures' has no pictures"):
        make(Pictures(0))
    for option in (
        {"batch": 0},
        {"seed": -1},
        {"seed": 2**64},
        {"crop": 0},
        {"threads": -1},
        {"cache_bytes": -1},
        {"scratch_bytes": -1},
    ):
        with pytest.raises(ValueError, match=next(iter(option))):
            make(Pictures(1), **option)
    loader = make(Pictures(3))
    for call in (loader.batch, loader.epoch, loader.sample):
        with pytest.raises(ValueError, match="at least 0"):
            call(-1)
    assert repr(loader).startswith("Loader('pictures' with 3 pictures, batch=4")
