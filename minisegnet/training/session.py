"""All that takes part in a training, made from its settings: data, model, optimiser, schedule, loss.

Whatever changes while it runs is in ``state()``, and everything else is a pure function of the settings. So a session
that ``restore`` brings back goes on bit for bit where the saved one stopped.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from minisegnet import __version__, losses, models, nn, ops, optim
from minisegnet.arrays import Array
from minisegnet.data import augment
from minisegnet.data.cache import Cached
from minisegnet.data.loader import Loader, steps_of
from minisegnet.data.sample import Dataset
from minisegnet.data.sources import full_name, open_dataset
from minisegnet.data.statistics import Normalisation, class_weights, measure_normalisation
from minisegnet.ops.dispatch import selected_backend
from minisegnet.predictor import SMALLEST, Predictor, normalisation_of
from minisegnet.sizes import Pair
from minisegnet.training.settings import EPOCHS, RATES, Settings

LARGEST_WHOLE = 128  # pixels a side: from larger pictures pieces are cut, unless the settings say otherwise
EVALUATIONS = 20  # at most so many, where nothing says how often
FEWEST_EVALUATIONS = 4  # at least so many, where they take long
EVALUATING = 0.25  # about this share of the time may go into them otherwise


@dataclasses.dataclass
class Progress:
    """How far a training is; together with the arrays, all that changes."""

    step: int = 0
    best_miou: float | None = None
    best_step: int = 0
    evaluations_since_best: int = 0


class Session:
    """A training that is set up and ready to go.

    Parameters
    ----------
    settings
        What to train. The fields that are None are chosen here; ``self.settings`` has none left that matter.
    normalisation
        That of a run that goes on; None: it is measured on the training pictures.
    """

    def __init__(self, settings: Settings, normalisation: Normalisation | None = None) -> None:
        self.training_set = open_split(settings, "train")
        self.validation_set = Cached(open_split(settings, "val"))  # each evaluation wants all of them
        self.normalisation = normalisation or measure_normalisation(self.training_set)
        self.model_told: dict[str, Any] = {
            "name": settings.model,
            "in_channels": self.training_set.channels,
            "classes": len(self.training_set.class_names),
            "options": _model_options(settings),
        }
        self.model = _model(self.model_told, settings.seed)
        _check_graph(settings, self.model)
        self.settings = resolve(settings, self.training_set, self.validation_set, self.model)
        self.loader = Loader(
            self.training_set,
            batch=self.settings.batch,
            seed=self.settings.seed,
            augmentation=_augmentation(self.settings, self.training_set),
            crop=self.settings.crop,
            normalisation=self.normalisation,
            threads=self.settings.threads,
        )
        self.loss_of = _loss(self.settings, self.training_set)
        self.optimizer = _optimizer(self.settings, self.model)
        self.schedule = _schedule(self.settings)
        self.progress = Progress()
        self.predictor = Predictor(
            self.model,
            class_names=self.training_set.class_names,
            palette=self.training_set.palette,
            normalisation=self.normalisation,
            ignore_index=self.training_set.ignore_index,
        )

    @property
    def steps(self) -> int:
        """How many steps the whole training has."""
        assert self.settings.steps is not None
        return self.settings.steps

    @property
    def pictures(self) -> list[int]:
        """How many pictures there are for training and for validation."""
        return [len(self.training_set), len(self.validation_set)]

    # Saving and loading

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return arrays and facts: all that a checkpoint holds."""
        optimizer = self.optimizer.state_dict()
        arrays = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        arrays |= {f"optimizer.{name}": v for name, v in optimizer.items() if not _is_number(v)}
        facts = {
            "version": __version__,
            "model": self.model_told,
            "class_names": list(self.training_set.class_names),
            "palette": [list(colour) for colour in self.training_set.palette],
            "ignore_index": self.training_set.ignore_index,
            "normalisation": {"mean": list(self.normalisation.mean), "std": list(self.normalisation.std)},
            "optimizer": {name: v for name, v in optimizer.items() if _is_number(v)},
            "settings": self.settings.as_dict(),
            "pictures": self.pictures,
            **dataclasses.asdict(self.progress),
        }
        return arrays, facts

    @classmethod
    def of_checkpoint(
        cls, arrays: Mapping[str, Array], facts: Mapping[str, Any], settings: Settings | None = None
    ) -> Self:
        """Set up the training that a checkpoint holds, where it was; with other settings if some are given."""
        session = cls(settings or Settings.of(facts["settings"]), normalisation_of(facts))
        session.restore(arrays, facts)
        return session

    def restore(self, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
        """Go back to where ``state()`` was called."""
        if facts["class_names"] != list(self.training_set.class_names):
            raise ValueError(
                f"the classes of {self.settings.data} are {', '.join(self.training_set.class_names)}, but the run was "
                f"trained on {', '.join(facts['class_names'])}; give it the data that it began with"
            )
        self.model.load_state_dict(_below("model.", arrays))
        self.optimizer.load_state_dict({**_below("optimizer.", arrays), **facts["optimizer"]})
        known = (f.name for f in dataclasses.fields(Progress))
        self.progress = Progress(**{name: facts[name] for name in known})


def open_split(settings: Settings, split: str) -> Dataset:
    """Open one split of the data that the settings name; ``count`` is that of the training pictures."""
    return open_dataset(
        settings.data,
        split,
        seed=settings.seed,
        count=settings.count if split == "train" else None,
        size=settings.size,
        holdout=settings.holdout,
    )


def resolve(settings: Settings, dataset: Dataset, validation: Dataset, model: Any) -> Settings:
    """Choose what the settings leave open."""
    if settings.seconds is not None:
        raise ValueError("a time must become a number of steps first; training.start does it, by measuring")
    steps = settings.steps
    if steps is None:
        epochs = EPOCHS if settings.epochs is None else settings.epochs
        steps = max(steps_of(epochs, len(dataset), settings.batch), 1)
    crop = _crop(settings, dataset, model)
    cost = cost_of_evaluation(validation, crop, settings.batch)
    evaluate_every = settings.evaluate_every or steps_between_evaluations(
        steps, len(dataset), settings.batch, cost
    )
    return settings.with_changes(
        data=full_name(settings.data),
        steps=steps,
        epochs=None,
        lr=RATES[settings.optimizer] if settings.lr is None else settings.lr,
        crop=crop,
        evaluate_every=evaluate_every,
        save_every=settings.save_every or evaluate_every,
        backend=settings.backend or _backend_in_use(),
    )


def steps_between_evaluations(steps: int, count: int, batch: int, cost: float = 0.0) -> int:
    """Choose how often to evaluate: once an epoch, but not more often than it can be looked at, nor than it is worth.

    ``cost`` is how many steps take as long as one evaluation.

    >>> steps_between_evaluations(400, count=32, batch=8), steps_between_evaluations(400, 32, 8, cost=21)
    (20, 63)
    """
    seldom = min(math.ceil(cost * (1 / EVALUATING - 1)), math.ceil(steps / FEWEST_EVALUATIONS))
    return min(max(steps_of(1, count, batch), math.ceil(steps / EVALUATIONS), seldom), steps)


def cost_of_evaluation(validation: Dataset, crop: Pair | None, batch: int) -> float:
    """Estimate how many steps take as long as one evaluation, which sees whole pictures and not pieces of them.

    The way back through a network is about twice the work of the way forward.
    """
    areas = [H * W for H, W in validation.sizes()]
    mean = sum(areas) / max(len(areas), 1)
    piece = mean if crop is None else crop[0] * crop[1]
    return len(validation) * mean / max(3 * batch * piece, 1)


def _backend_in_use() -> str | None:
    """Name the backend in use; None for a module of somebody's own kernels, which has no name to go by."""
    backend = selected_backend()
    return backend if isinstance(backend, str) else None


def _crop(settings: Settings, dataset: Dataset, model: Any) -> Pair | None:
    """Size that the model is fed with; None: whole pictures, which are all of one size."""
    sizes = dataset.sizes()
    if settings.crop is not None:
        size = settings.crop
    else:
        size = (
            min(LARGEST_WHOLE, min(H for H, _ in sizes)),
            min(LARGEST_WHOLE, min(W for _, W in sizes)),
        )
        if len(sizes) > 1:  # one tiny picture shall not make all crops tiny; it is mirrored outwards
            size = max(size[0], SMALLEST), max(size[1], SMALLEST)
        if hasattr(model, "input_size_for"):  # with the margin that valid convolutions take away
            size = model.input_size_for(size)
    try:
        result: Pair = model.output_size(size)
    except ValueError as error:
        raise ValueError(f"{settings.model} can't be trained on pieces of {size} pixels: {error}") from None
    if result != tuple(length - 2 * getattr(model, "halo", 0) for length in size):
        raise ValueError(
            f"{settings.model} gives {result} labels for a picture of {size}, not one for each pixel, and can't be "
            "trained here; see its page in the documentation"
        )
    return None if sizes == {size} else size


def _model(told: dict[str, Any], seed: int) -> Any:
    """Build the model; an option that it doesn't have is a wrong setting, not a bug."""
    try:
        named = {key: value for key, value in told.items() if key != "options"}
        return models.build(**named, **told["options"], seed=seed)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _check_graph(settings: Settings, model: nn.Module) -> None:
    """Refuse to record a CUDA graph where that can't be, or would repeat what must change."""
    if not settings.cuda_graph:
        return
    if selected_backend() != "cupy":
        raise ValueError(
            f"a CUDA graph was asked for, but the backend is {ops.current_backend()}; add --backend cupy (which needs "
            "an NVIDIA GPU), or leave --cuda-graph out"
        )
    dropouts = [
        name for name, layer in model.named_modules() if isinstance(layer, nn.Dropout) and layer.p > 0
    ]
    if dropouts:
        raise ValueError(
            f"a CUDA graph was asked for, but {settings.model} has dropout ({', '.join(dropouts[:3])}): what it drops "
            "depends on the number of the step, which a recorded step doesn't see. Leave --cuda-graph out, or train "
            "without dropout"
        )


def _model_options(settings: Settings) -> dict[str, Any]:
    given = {"width": settings.width, "depth": settings.depth}
    return {**settings.options, **{name: value for name, value in given.items() if value is not None}}


def _augmentation(settings: Settings, dataset: Dataset) -> augment.Augmentation:
    if settings.sampling == "anywhere":
        return augment.build(settings.augment)
    if settings.crop is None:
        raise ValueError(
            f"sampling is {settings.sampling!r}, which says where pieces are cut out, but the pictures of "
            f"{dataset.name} are trained on whole; give the size of a piece (crop), or leave sampling out"
        )
    return augment.build(settings.augment, focus_classes=len(dataset.class_names))


def _loss(settings: Settings, dataset: Dataset) -> losses.Loss:
    options: dict[str, Any] = {}
    if dataset.ignore_index is not None:
        options["ignore_index"] = dataset.ignore_index
    if settings.weights is not None:
        options["weight"] = ops.to_backend(class_weights(dataset, settings.weights))
    return losses.build(settings.loss, **options)


def _optimizer(settings: Settings, model: Any) -> optim.Optimizer:
    assert settings.lr is not None
    if settings.optimizer == "sgd":
        return optim.SGD(model.named_parameters(), lr=settings.lr, momentum=0.9)
    kind = {"adam": optim.Adam, "adamw": optim.AdamW}[settings.optimizer]
    return kind(model.named_parameters(), lr=settings.lr)


def _schedule(settings: Settings) -> optim.Schedule:
    lr, total = settings.lr, settings.steps
    assert lr is not None and total is not None
    schedule = {
        "constant": lambda: optim.constant(lr),
        "cosine": lambda: optim.cosine(lr, total),
        "poly": lambda: optim.poly(lr, total),
        "step": lambda: optim.step(lr, max(total // 3, 1), 0.1),
    }[settings.schedule]()
    return optim.warmup(schedule, settings.warmup) if settings.warmup else schedule


def _below(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | bool) and not isinstance(value, np.generic)
