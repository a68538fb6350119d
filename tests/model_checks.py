"""What the tests of several models share: PyTorch's numbers, gradients of a whole model, learning one picture."""

from collections.abc import Callable

import numpy as np
from golden_cases import Case

from minisegnet import Tensor, functional, models, nn, no_grad, optim
from minisegnet.testing import check_gradients


def check_same_as_pytorch(case: Case, *, every: int = 1, **options: object) -> None:
    """Give a model its PyTorch twin's weights, and expect the twin's scores, loss, gradients and statistics.

    The file holds every so many rows and columns of the scores.
    """
    state = {name: a for name, a in case.inputs.items() if name not in ("x", "target")}
    model = models.build(case.op, in_channels=2, classes=3, dtype="float64", **case.kwargs, **options)
    model.load_state_dict(state)
    scores = model(case.inputs["x"])
    loss = functional.softmax_cross_entropy(scores, case.inputs["target"])
    loss.backward()
    found = {"scores": scores.data[:, :, ::every, ::every], "loss": loss.data}
    found |= {f"d {key}": parameter.grad for key, parameter in model.named_parameters()}
    found |= {f"new {key}": buffer.data for key, buffer in model.named_buffers() if "running" in key}
    assert list(found) == list(case.expected)  # PyTorch's order of parameters, too
    for key, expected in case.expected.items():
        assert found[key].shape == expected.shape
        np.testing.assert_allclose(found[key], expected, rtol=1e-9, atol=1e-11, err_msg=key)


def check_whole_model(model: nn.Module, x: np.ndarray) -> None:
    """Compare the gradients of the picture and of all parameters with finite differences."""
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # a bias of 0 on an empty map would put a relu on its kink
            parameter.data = parameter.data + rng.normal(0, 0.3, parameter.shape)
    check_gradients(
        lambda x, *parameters: model(x), Tensor(x, requires_grad=True), *model.parameters(), step=1e-5
    )


def mean_iou(found: np.ndarray, labels: np.ndarray) -> float:
    """Average over the classes of labels: hits / (hits + misses + false alarms)."""
    hits = [((found == c) & (labels == c)).sum() for c in np.unique(labels)]
    unions = [((found == c) | (labels == c)).sum() for c in np.unique(labels)]
    return float(np.mean(np.divide(hits, unions)))


def learn_by_heart(
    scores_of: Callable[[], Tensor], model: nn.Module, labels: np.ndarray, limit: int = 300
) -> int:
    """Train on one picture until evaluation mode makes no mistake on it; return the steps."""
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for step in range(1, limit + 1):
        model.train()
        optimizer.zero_grad()
        functional.softmax_cross_entropy(scores_of(), labels).backward()
        optimizer.step()
        if step % 10 == 0:
            model.eval()
            with no_grad():
                found = scores_of().data.argmax(1)
            if mean_iou(found, labels) == 1.0:
                return step
    raise AssertionError(f"after {limit} steps the mean IoU is {mean_iou(found, labels)}")


def coloured(labels: np.ndarray, noise: float) -> np.ndarray:
    """Draw a picture (N, 3, H, W) of labels 0 to 2 (N, H, W): a colour for each, under noise."""
    colours = np.array([[0.1, 0.2, 0.3], [0.9, 0.3, 0.2], [0.2, 0.8, 0.9]])
    picture = np.moveaxis(colours[labels], 3, 1)
    return (picture + np.random.default_rng(0).normal(0, noise, picture.shape)).astype(np.float32)


def disc_and_bar(S: int) -> np.ndarray:
    """Labels (1, S, S) of a disc (1) and a bar (2) before a background (0)."""
    rows, columns = np.mgrid[:S, :S]
    labels = np.zeros((1, S, S), np.int64)
    labels[0, (rows - S / 3) ** 2 + (columns - S / 3) ** 2 < (S / 5) ** 2] = 1
    labels[0, S // 2 : -S // 8, S // 2 : S // 2 + S // 3] = 2
    return labels
