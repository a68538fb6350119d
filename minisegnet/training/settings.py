"""What a training is told: one frozen record, which is also the file ``settings.toml`` of a run."""

import math
import re
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from minisegnet.words import did_you_mean

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "poly", "step")
WEIGHTS = ("median-frequency", "inverse")
SAMPLINGS = ("anywhere", "classes")
RATES = {"adam": 3e-3, "adamw": 3e-3, "sgd": 0.05}  # learning rates that small models take well
EPOCHS = 20  # where nothing says how long

# What isn't the models' own, and what to do instead.
RESERVED = {
    "width": "it is a setting of its own: width",
    "depth": "it is a setting of its own: depth",
    "seed": "it is a setting of its own: seed",
    "in_channels": "the data decides on it",
    "classes": "the data decides on it",
    "dtype": "trainings are in float32",
    "initialise": "a model that is trained needs its first weights",
}


@dataclass(frozen=True)
class Settings:
    """All that decides what comes out of a training.

    Fields that are None are chosen when the training is set up (``minisegnet.training.session.resolve``), and the
    run's own ``settings.toml`` then holds what was chosen.

    Parameters
    ----------
    data
        A synthetic set's name or a folder with ``images/`` and ``masks/``.
    model, width, depth, options
        Name and size of the model; ``options`` are its own others, such as ``{"padding": "valid"}``.
    steps, epochs, seconds
        How long: one of the three. A step is one batch; an epoch as many pictures as there are.
    batch, crop
        Pictures in a batch, and the size (h, w) that is cut out of each; None: whole pictures.
    augment
        Such as ``"flip+rotate+scale+colour"``; see :func:`minisegnet.data.augment.build`.
    sampling
        Where pieces are cut out: ``"anywhere"``, or ``"classes"``, every second one where a class is that was drawn
        first (``minisegnet/data/augment/focus.py``).
    optimizer, lr, schedule, warmup, clip
        The optimiser, its highest learning rate, how that changes, over how many steps it rises at first, and the
        length that the gradients are cut down to (0: not at all).
    loss, weights
        Such as ``"ce"`` or ``"ce + dice"``, and how classes are weighted: ``"median-frequency"``, ``"inverse"``, None.
    seed
        Of weights, order, augmentation and synthetic pictures.
    evaluate_every, save_every, patience
        Steps between two evaluations and between two checkpoints; stop after so many evaluations without a better
        mIoU (None: never).
    count, size, holdout
        Of synthetic sets: number and size of training pictures. Of folders without a ``val`` folder: which share of
        the pictures is kept for validation.
    threads
        Python threads that prepare batches. They change the speed only.
    backend
        Which kernels: ``"numba"``, ``"numpy"`` …; None: those in use. Each has its own rounding.
    cuda_graph
        Record a step as a CUDA graph and repeat that; for the backend ``"cupy"`` only.

    Examples
    --------
    >>> settings = Settings(data="cells", model="segnet", steps=100)
    >>> Settings.of(settings.as_dict()) == settings
    True
    """

    data: str = "shapes"
    model: str = "unet"
    width: int | None = None
    depth: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None
    batch: int = 8
    crop: tuple[int, int] | None = None
    augment: str = "flip"
    sampling: str = "anywhere"
    optimizer: str = "adam"
    lr: float | None = None
    schedule: str = "cosine"
    warmup: int = 0
    clip: float = 5.0
    loss: str = "ce"
    weights: str | None = None
    seed: int = 0
    evaluate_every: int | None = None
    save_every: int | None = None
    patience: int | None = None
    count: int | None = None
    size: tuple[int, int] | None = None
    holdout: float = 0.2
    threads: int = 2
    backend: str | None = None
    cuda_graph: bool | None = None

    def __post_init__(self) -> None:
        for name, kind in KINDS.items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), kind))
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("sampling", self.sampling, SAMPLINGS)
        if self.weights is not None:
            _one_of("weights", self.weights, WEIGHTS)
        if not 0 < self.holdout < 1:
            raise ValueError(f"holdout is {self.holdout}; expected a share between 0 and 1, such as 0.2")
        if self.seed >= 2**64:
            raise ValueError(f"seed is {self.seed}; expected a whole number below 2**64")
        for name, instead in RESERVED.items():
            if name in self.options:
                raise ValueError(f"options has {name!r}; {instead}")
        told = [name for name in ("steps", "epochs", "seconds") if getattr(self, name) is not None]
        if len(told) > 1:
            raise ValueError(f"{' and '.join(told)} were given; expected one of steps, epochs, time")

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Make settings of a dictionary, such as a TOML file holds; unknown names raise."""
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(
                    f"there is no setting named {name!r}{did_you_mean(name, known)}; expected some of: "
                    f"{', '.join(known)}"
                )
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Return what is set, as plain numbers, texts and lists; what is None is left out."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value is not None
        }

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with other values."""
        return replace(self, **changes)


# Name: kind of value, and the least it may be. "?" stands for "or None".
KINDS: dict[str, tuple[str, float | None]] = {
    "data": ("text", None),
    "model": ("text", None),
    "width": ("whole?", 1),
    "depth": ("whole?", 1),
    "options": ("table", None),
    "steps": ("whole?", 1),
    "epochs": ("number?", 0),
    "seconds": ("number?", 0),
    "batch": ("whole", 1),
    "crop": ("pair?", 1),
    "augment": ("text", None),
    "sampling": ("text", None),
    "optimizer": ("text", None),
    "lr": ("number?", 0),
    "schedule": ("text", None),
    "warmup": ("whole", 0),
    "clip": ("number", 0),
    "loss": ("text", None),
    "weights": ("text?", None),
    "seed": ("whole", 0),
    "evaluate_every": ("whole?", 1),
    "save_every": ("whole?", 1),
    "patience": ("whole?", 1),
    "count": ("whole?", 1),
    "size": ("pair?", 1),
    "holdout": ("number", 0),
    "threads": ("whole", 0),
    "backend": ("text?", None),
    "cuda_graph": ("flag?", None),
}


def _checked(name: str, value: Any, kind: tuple[str, float | None]) -> Any:
    """Return the value as its kind of Python object, or say what is wrong with it."""
    sort, least = kind[0].rstrip("?"), kind[1]
    if value is None and kind[0].endswith("?"):
        return None
    if sort == "text" and isinstance(value, str):
        return value
    if sort == "flag" and isinstance(value, bool):
        return value
    if sort == "table" and isinstance(value, dict):
        return {str(key): None if v == "none" else v for key, v in value.items()}  # TOML has no word for None
    if sort == "whole" and _is_whole(value) and value >= least:
        return int(value)
    if sort == "number" and _is_number(value) and (value > least or (name == "clip" and value == 0)):
        return float(value)
    if sort == "pair":
        pair = (value, value) if _is_whole(value) else value
        if (
            isinstance(pair, tuple | list)
            and len(pair) == 2
            and all(_is_whole(v) and v >= least for v in pair)
        ):
            return int(pair[0]), int(pair[1])
    expected = {
        "text": "a text",
        "flag": "true or false",
        "table": "a table of options",
        "whole": f"a whole number of at least {least}",
        "number": f"a number above {least}",
        "pair": "a whole number or a pair (height, width)",
    }
    raise ValueError(f"{name} is {value!r}; expected {expected[sort]}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(
            f"{name} is {value!r}{did_you_mean(value, known)}; expected one of: {', '.join(known)}"
        )


# ---------------------------------------------------------------------------------------------------------
# TOML


def read_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file; a line that can't be read is named."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from None


def as_toml(values: dict[str, Any]) -> str:
    """Write a flat dictionary (tables may be one deep) as TOML; None becomes ``"none"``.

    >>> print(as_toml({"data": "shapes", "lr": 0.003, "size": [96, 96], "options": {"norm": "batch"}}), end="")
    data = "shapes"
    lr = 0.003
    size = [96, 96]
    <BLANKLINE>
    [options]
    norm = "batch"
    """
    lines = [f"{_key(name)} = {_value(v)}" for name, v in values.items() if not isinstance(v, dict)]
    for name, table in values.items():
        if isinstance(table, dict) and table:
            lines += ["", f"[{_key(name)}]", *(f"{_key(key)} = {_value(v)}" for key, v in table.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _value(value: Any) -> str:
    if value is None:
        return _text("none")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    raise TypeError(f"TOML has no {type(value).__name__}; expected a number, a text or a list of them")


def _text(text: str) -> str:
    """Quote a text; what is written for JSON's control characters TOML reads as well."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped) + '"'
