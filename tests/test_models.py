"""What holds for every model that ``models.build`` knows, and how it refuses what it doesn't."""

from typing import Any

import numpy as np
import pytest

from minisegnet import models, nn, no_grad
from minisegnet.models.draw import trace
from minisegnet.nn import init

SMALLER = {"patch"}  # these return less than the input's size: one score for each patch


def picture(in_channels: int, size: tuple[int, int], dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, in_channels, *size)).astype(dtype)


@pytest.mark.parametrize("size", [(64, 64), (97, 131)])
@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("name", models.names())
def test_scores_have_the_size_that_the_model_says(name: str, in_channels: int, size: tuple[int, int]) -> None:
    model: Any = models.build(name, in_channels=in_channels, classes=5)
    expected = model.output_size(size)
    with no_grad():
        y = model.eval()(picture(in_channels, size))
    assert y.shape == (1, 5, *expected) and y.dtype == np.float32
    assert np.isfinite(y.data).all()
    if name not in SMALLER:
        assert expected == size


@pytest.mark.parametrize("name", models.names())
def test_every_model_trains_and_evaluates_in_float64(name: str) -> None:
    model: Any = models.build(name, in_channels=1, classes=2, dtype="float64")
    assert (model.in_channels, model.classes) == (1, 2)
    assert all(a.dtype == np.float64 for a in model.state_dict().values())
    y = model(picture(1, (64, 64), np.float64))
    assert y.dtype == np.float64
    y.backward(np.random.default_rng(1).normal(size=y.shape))
    assert all(p.grad is not None and p.grad.dtype == np.float64 for p in model.parameters())


@pytest.mark.parametrize("name", models.names())
def test_names_are_unique_and_in_forward_order(name: str) -> None:
    model = models.build(name, classes=3)
    names = [key for key, _ in model.named_parameters()]
    assert len(names) == len(set(names)) == len({id(p) for p in model.parameters()}) > 0
    called: list[str] = []
    for block in trace(model, 64):
        if block.parameters and block.name not in called:
            called.append(block.name)
    of_layers: list[str] = []
    for key in names:
        layer = key.rpartition(".")[0]
        if layer not in of_layers:
            of_layers.append(layer)
    assert of_layers == called


@pytest.mark.parametrize("name", models.names())
def test_the_seed_decides_the_weights(name: str) -> None:
    one, same, other = (models.build(name, classes=3, seed=seed).state_dict() for seed in (1, 1, 2))
    for key, a in one.items():
        np.testing.assert_array_equal(a, same[key])
    assert any(not np.array_equal(a, other[key]) for key, a in one.items())


@pytest.mark.parametrize("name", models.names())
def test_weights_that_are_not_filled_are_counted_alike(name: str) -> None:
    empty, full = (models.build(name, classes=3, initialise=filled) for filled in (False, True))
    assert empty.parameter_count() == full.parameter_count()
    shapes = [{key: a.shape for key, a in model.state_dict().items()} for model in (empty, full)]
    assert shapes[0] == shapes[1] and list(shapes[0]) == list(shapes[1])


def test_weights_that_are_not_filled_cost_no_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a weight was filled")

    monkeypatch.setattr(init, "he_normal", refuse)
    for name in models.names():
        models.build(name, classes=3, initialise=False)
        with pytest.raises(AssertionError, match="was filled"):
            models.build(name, classes=3)


@pytest.mark.parametrize("name", models.names())
def test_a_state_that_went_round_gives_the_same_bits(name: str) -> None:
    model, other = models.build(name, classes=3, seed=1), models.build(name, classes=3, seed=2)
    model(picture(3, (64, 64)))  # moves the running statistics
    other.load_state_dict(model.state_dict())
    x = picture(3, (64, 80), seed=1)
    with no_grad():
        np.testing.assert_array_equal(model.eval()(x).data, other.eval()(x).data)


@pytest.mark.parametrize("name", models.names())
def test_the_width_is_the_models_own_or_the_given_one(name: str) -> None:
    default: Any = models.build(name, classes=3, initialise=False)
    narrow: Any = models.build(name, classes=3, width=2, initialise=False)
    assert narrow.width == 2 < default.width
    assert narrow.parameter_count() < default.parameter_count()


# ---------------------------------------------------------------------------------------------------------
# Errors


def test_names_lists_what_build_knows() -> None:
    assert models.names() == [
        "fcn32s", "fcn16s", "fcn8s", "segnet", "segnet-basic", "deconvnet", "unet", "patch",
    ]  # fmt: skip


ERRORS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    (
        "unte",
        {},
        ValueError,
        "there is no model named 'unte' (did you mean 'unet'?); expected one of: fcn32s",
    ),
    ("U-Net", {}, ValueError, "there is no model named 'U-Net' (did you mean 'unet'?)"),
    ("SegNet_Basic", {}, ValueError, "(did you mean 'segnet-basic'?)"),
    ("xyz", {}, ValueError, "there is no model named 'xyz'; expected one of"),
    ("unet", {"dtype": "float16"}, ValueError, "dtype is 'float16'; expected float32 or float64"),
    ("unet", {"dtype": "flaot32"}, ValueError, "dtype is 'flaot32'; expected float32 or float64"),
    ("unet", {"classes": 0}, ValueError, "classes is 0; expected an integer of at least 1"),
    ("unet", {"in_channels": 2.0}, TypeError, "in_channels is 2.0"),
    ("unet", {"width": 0}, ValueError, "width is 0"),
    ("unet", {"seed": None}, TypeError, "seed is None"),
    ("unet", {"depht": 2}, TypeError, "unet has no option 'depht' (did you mean 'depth'?)"),
    ("patch", {"norm": "batch"}, TypeError, "patch has no option 'norm'; its options: width, patch"),
]


@pytest.mark.parametrize(("name", "options", "kind", "message"), ERRORS, ids=[row[3][:30] for row in ERRORS])
def test_build_says_what_is_wrong(
    name: str, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        models.build(name, **({"classes": 2} | options))
    assert message in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 4, 64, 64), (3, 3, 1, 64, 64)])
@pytest.mark.parametrize("name", models.names())
def test_what_is_no_batch_of_pictures_is_refused_by_name(name: str, shape: tuple[int, ...]) -> None:
    model: Any = models.build(name, classes=2, width=1)
    for network in [model, model.twin()] if name == "patch" else [model]:
        with pytest.raises(ValueError, match=r"x has shape .*; expected pictures of shape \(N, 3, H, W\)"):
            network(np.ones(shape, np.float32))


def test_building_leaves_the_settings_as_they_were() -> None:
    models.build("unet", classes=2, dtype="float64", width=1, depth=1)
    assert nn.Conv2d(1, 1, 1).weight.dtype == np.float32
