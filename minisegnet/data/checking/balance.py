"""How the pixels are divided among the classes, and whether there is enough of everything."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.checking.survey import SeenPair
from minisegnet.data.classes import Classes
from minisegnet.data.finding import Finding, some
from minisegnet.data.statistics import WEIGHTINGS, LabelCounts, weights_of

RARE = 0.005  # a class with less than this share of the pixels is learned last, if at all
MUCH_IGNORED = 0.5
FEW, FEW_HELD_OUT = 10, 3  # pictures for training and validation
MOSTLY_EMPTY = 0.5  # share of masks that hold one class only


class Balance(NamedTuple):
    """How often each class occurs, and what weights would level that."""

    counts: LabelCounts
    masks: Array  # (C,): in how many masks each class occurs
    weights: dict[str, Array]  # of each kind, (C,)
    ignored: int  # pixels

    @property
    def shares(self) -> Array:
        """Share of each class among the pixels that count, (C,)."""
        shares: Array = self.counts.pixels / max(int(self.counts.pixels.sum()), 1)
        return shares


def measure(pairs: Sequence[SeenPair], classes: Classes) -> Balance:
    """Add up the pixels of each class over masks."""
    C = len(classes.names)
    table = classes.table()
    pixels, of_pictures, masks, ignored = (np.zeros(C, np.int64) for _ in range(4))
    for pair in pairs:
        here, void = pixels_of_classes(pair, table, C)
        pixels += here
        of_pictures += np.where(here > 0, here.sum(), 0)
        masks += here > 0
        ignored[0] += void
    counts = LabelCounts(pixels, of_pictures)
    weights = {kind: weights_of(counts, kind) for kind in WEIGHTINGS}
    return Balance(counts, masks, weights, int(ignored[0]))


def pixels_of_classes(pair: SeenPair, table: Array, C: int) -> tuple[Array, int]:
    """Count the pixels of each class in one mask, (C,), and those that don't count or are no class."""
    pixels = np.zeros(C, np.int64)
    if pair.mask.counts is None:
        return pixels, 0
    labels, number = table[pair.mask.counts.values], pair.mask.counts.pixels
    known = (labels >= 0) & (labels < C)
    np.add.at(pixels, labels[known], number[known])
    return pixels, int(number[~known].sum())


def check_balance(pairs: Sequence[SeenPair], classes: Classes) -> list[Finding]:
    """Find rare and absent classes, masks of one class, many ignored pixels, and too few pictures."""
    whole = [pair for pair in pairs if pair.mask.counts is not None]
    training = [pair for pair in whole if pair.split in ("train", "")]
    if not training:
        return []
    balance = measure(training, classes)
    return [
        *_rare(balance, classes),
        *_absent(whole, training, classes),
        *_of_one_class(whole, classes),
        *_ignored(whole, classes),
    ]


def _rare(balance: Balance, classes: Classes) -> list[Finding]:
    shares = balance.shares
    rare = [c for c in range(len(classes.names)) if 0 < shares[c] < RARE]
    if not rare:
        return []
    told = tuple(f"{classes.names[c]} ({100 * shares[c]:.2g} % of the pixels)" for c in rare)
    return [
        Finding(
            "rare-class",
            "note",
            f"rare classes: {some(told)}",
            "A network that never says them is right almost everywhere, so it may learn just that.",
            "Train with --weights median-frequency, or with --loss ce+dice, and look at their IoU.",
        )
    ]


def _absent(whole: Sequence[SeenPair], training: Sequence[SeenPair], classes: Classes) -> list[Finding]:
    everywhere, trained = measure(whole, classes).masks, measure(training, classes).masks
    never = [name for name, there in zip(classes.names, everywhere, strict=True) if not there]
    untaught = [n for n, a, t in zip(classes.names, everywhere, trained, strict=True) if a and not t]
    findings = []
    if untaught:
        findings.append(
            Finding(
                "untaught-class",
                "warning",
                f"classes that no training mask holds, but others do: {some(untaught)}",
                "They can't be learned, and count as IoU 0 when the model is measured.",
                "Divide the pictures anew, so that each class is in train/.",
            )
        )
    if never:
        findings.append(
            Finding(
                "absent-class",
                "note",
                f"classes that no mask holds: {some(never)}",
                "The network has outputs for them that nothing teaches.",
                "Leave them out of the names, unless others will need the numbers.",
            )
        )
    return findings


def _of_one_class(whole: Sequence[SeenPair], classes: Classes) -> list[Finding]:
    table, C = classes.table(), len(classes.names)
    alone: dict[str, list[str]] = {}
    for pair in whole:
        there = np.flatnonzero(pixels_of_classes(pair, table, C)[0])
        if len(there) < 2:
            name = classes.names[there[0]] if len(there) else "nothing that counts"
            alone.setdefault(name, []).append(pair.mask.file.name)
    count = sum(map(len, alone.values()))
    if not count:
        return []
    told = ", ".join(f"{len(files)} with {name}" for name, files in alone.items())
    return [
        Finding(
            "one-class-mask",
            "warning" if count > MOSTLY_EMPTY * len(whole) or "nothing that counts" in alone else "note",
            f"masks that hold one class only or none ({told})",
            "Pictures without any object teach what isn't one, and some are good to have. But such a mask may also be "
            "one that was never drawn, or was exported wrongly.",
            "Look at them in the contact sheet; draw those that are missing, or take them away.",
            tuple(name for files in alone.values() for name in files),
        )
    ]


def _ignored(whole: Sequence[SeenPair], classes: Classes) -> list[Finding]:
    balance = measure(whole, classes)
    total = int(balance.counts.pixels.sum()) + balance.ignored
    if not classes.ignored or balance.ignored <= MUCH_IGNORED * total:
        return []
    values = ", ".join(map(str, classes.ignored))
    return [
        Finding(
            "mostly-ignored",
            "warning",
            f"{100 * balance.ignored / total:.0f} % of all pixels have the value {values}, which means that they don't "
            "count",
            "Nothing is learned there, and nothing measured.",
            f"If {values} is a class, name it in classes.txt: '{classes.ignored[0]} = name', with a line for each of "
            "the other values.",
        )
    ]


def check_number(pairs: Sequence[SeenPair]) -> list[Finding]:
    """Find splits with too few pictures to learn from or to measure on."""
    numbers = {split: sum(pair.split == split for pair in pairs) for split in ("", "train", "val", "test")}
    findings = []
    if 0 < (number := numbers[""] + numbers["train"]) < FEW:
        findings.append(
            Finding(
                "few-pictures",
                "note",
                f"{number} picture{'s' * (number > 1)} to learn from",
                "A network learns so few by heart.",
                "Draw more masks; ten are a beginning, forty are good. Until then vary them: --augment "
                "flip+rotate+scale+colour+elastic.",
            )
        )
    held_out = {split: numbers[split] for split in ("val", "test") if 0 < numbers[split] < FEW_HELD_OUT}
    if held_out:
        findings.append(
            Finding(
                "few-held-out",
                "note",
                f"pictures to measure on: {', '.join(f'{n} in {split}' for split, n in held_out.items())}",
                "A number from one or two pictures says little about others.",
                "Move more pictures there.",
            )
        )
    return findings
