"""What somebody meant who wrote something else."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return what is written most like a word, capitals aside; None where nothing comes near.

    >>> nearest("Unte", ["segnet", "unet"]), nearest("banana", ["segnet", "unet"])
    ('unet', None)
    """
    found = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), list(found), n=1)
    return found[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Ask for what is written most like a word, in brackets; an empty text where nothing comes near.

    >>> did_you_mean("unte", ["segnet", "unet"])
    " (did you mean 'unet'?)"
    """
    near = nearest(word, known)
    return f" (did you mean {near!r}?)" if near else ""
