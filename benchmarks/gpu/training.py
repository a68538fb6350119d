"""A whole training on the device: its losses against NumPy's, and the time of a step against PyTorch's."""

from typing import Any

import numpy as np

from benchmarks.gpu import limits
from benchmarks.gpu.as_torch import AsTorch
from minisegnet import ops
from minisegnet.data.loader import Batch
from minisegnet.training import Session, Settings
from minisegnet.training.loop import steps_for

MODELS = ("unet", "segnet", "fcn8s")
LARGEST_DIFFERENCE = 1e-2  # of a loss, after some tens of steps: rounding grows from step to step


def settings_of(model: str, size: int, batch: int, steps: int, **changes: Any) -> Settings:
    """Return the settings of a training on shapes."""
    return Settings(
        data="shapes",
        count=2 * batch,
        size=(size, size),
        model=model,
        batch=batch,
        steps=steps,
        threads=0,
        **changes,
    )


def agreement(size: int, batch: int, steps: int, width: int | None) -> dict[str, Any]:
    """Train a U-Net on NumPy and on the device, plainly and as a CUDA graph; compare the losses."""
    losses = {
        "numpy": _losses("numpy", settings_of("unet", size, batch, steps, width=width)),
        "cupy": _losses("cupy", settings_of("unet", size, batch, steps, width=width)),
        "cupy, CUDA graph": _losses(
            "cupy", settings_of("unet", size, batch, steps, width=width, cuda_graph=True)
        ),
    }
    expected = np.array(losses["numpy"])
    largest = {
        name: float(np.max(np.abs(np.array(found) / expected - 1)))
        for name, found in losses.items()
        if name != "numpy"
    }
    return {
        "losses": losses,
        "largest_relative_difference": largest,
        "agrees": all(difference <= LARGEST_DIFFERENCE for difference in largest.values()),
    }


def _losses(backend: str, settings: Settings) -> list[float]:
    with ops.use_backend(backend):
        session = Session(settings)
        steps = steps_for(session)
        told = []
        for batch in session.loader.batches(0, session.steps):
            steps.make(batch)
            told += [measured.loss for _, measured in steps.told(everything=False)]
        return told + [measured.loss for _, measured in steps.told(everything=True)]


def step_times(model: str, size: int, batch: int, width: int | None, torch: Any) -> dict[str, Any]:
    """Time a training step of a model: plainly, as a CUDA graph, and by PyTorch in three ways."""
    seconds: dict[str, float | str] = {}
    with ops.use_backend("cupy"):
        for name, changes in {"cupy": {}, "cupy, CUDA graph": {"cuda_graph": True}}.items():
            try:
                session = Session(settings_of(model, size, batch, 10**6, width=width, **changes))
                seconds[name] = _seconds_of_step(session)
            except ValueError as error:  # a model with dropout can't be recorded
                seconds[name] = str(error)
        session = Session(settings_of(model, size, batch, 1, width=width))
        given = session.loader.batch(0)
    if torch is not None:
        seconds |= _torch_times(torch, session.model, given)
    return {"model": model, "size": size, "batch": batch, "seconds": seconds}


def _seconds_of_step(session: Session) -> float:
    steps, batch = steps_for(session), session.loader.batch(0)
    for _ in range(5):  # compiled, warm, recorded
        steps.make(batch)

    def step() -> None:
        steps.make(batch)
        list(steps.told(everything=False))

    return limits.seconds_of(step)


def _torch_times(torch: Any, model: Any, batch: Batch) -> dict[str, float | str]:
    kinds = {"torch": (False, False), "torch channels last": (True, False), "torch compiled": (True, True)}
    found: dict[str, float | str] = {}
    for name, (channels_last, compiled) in kinds.items():
        try:
            found[name] = _torch_seconds(
                torch, AsTorch(torch, model, "cuda", channels_last=channels_last), batch, compiled
            )
        except Exception as error:  # such as a compiler that is missing; the table goes on
            found[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return found


def _torch_seconds(torch: Any, model: AsTorch, batch: Batch, compiled: bool) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    forward = torch.compile(model) if compiled else model

    def step() -> None:
        images, labels = model.tensor(batch.images), torch.from_numpy(batch.labels).cuda()
        optimizer.zero_grad(set_to_none=True)
        scores = forward(images)
        torch.nn.functional.cross_entropy(scores, labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    model.model.train()
    return limits.seconds_of(step, done=torch.cuda.synchronize)
