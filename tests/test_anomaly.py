"""Naming the first NaN or infinity of a step, and leaving no trace."""

import numpy as np
import pytest

from minisegnet import Tensor, functional, models, nn, use_backend
from minisegnet.autograd import record
from minisegnet.training.anomaly import BACKWARD, GROWN, OWN, PICTURES, WEIGHTS, first_nonfinite

ce = functional.softmax_cross_entropy


@pytest.fixture(autouse=True)
def numpy_backend():
    with use_backend("numpy"):
        yield


def batch(N=2, size=8, channels=3, classes=3):
    random = np.random.default_rng(0)
    images = random.random((N, channels, size, size), dtype=np.float32)
    return images, random.integers(0, classes, (N, size, size))


def small_model(*layers, seed=0):
    """Two convolutions, and what is given between them; layers 0 to 2 and the last are ordinary."""
    with nn.creating(seed=seed):
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), *layers, nn.Conv2d(4, 3, 1)
        )


def everything(model):
    """All bits of a model, and which arrays they lie in."""
    held = []
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, Tensor):
                grad = None if value.grad is None else (id(value.grad), value.grad.tobytes())
                held.append((name, key, id(value), id(value.data), value.data.tobytes(), grad))
            elif isinstance(value, nn.Module):
                held.append((name, key, id(value)))
            else:
                held.append((name, key, repr(value)))
    return held


def find(model, loss_of=ce, *data, **options):
    """Ask, and see that nothing was changed."""
    images, labels = data or batch()
    for parameter in model.parameters():
        parameter.grad = np.full_like(parameter.data, 7)
    before, inputs = everything(model), (images.tobytes(), labels.tobytes())
    errors = np.geterr()
    found = first_nonfinite(model, loss_of, images, labels, **options)
    assert everything(model) == before
    assert (images.tobytes(), labels.tobytes()) == inputs
    assert np.geterr() == errors
    return found


class Elementwise(nn.Module):
    """A layer of its own arithmetic, forward and backward."""

    def __init__(self, forward=lambda x: x, backward=lambda dy: dy):
        self.functions = forward, backward

    def forward(self, x):
        forward, backward = self.functions
        return record(forward(x.data), [x], backward)


def with_nan(values):
    values = values.copy()
    values.reshape(-1)[:3] = np.nan
    return values


def test_nothing_is_wrong():
    assert find(small_model(nn.Dropout(0.5))) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_picture(bad):
    images, labels = batch(N=4)
    images[2, 1, 3, 3] = bad
    found = find(small_model(), ce, images, labels)
    count = "1 NaN and 0 infinite" if np.isnan(bad) else "0 NaN and 1 infinite"
    assert found == f"picture 2 of the batch (counted from 0) has {count} values of 192. {PICTURES}."


def test_pixel_weights():
    weight = np.ones((2, 8, 8), np.float32)
    assert find(small_model(), pixel_weight=weight) is None
    weight[1, 0, 0] = np.nan
    found = find(small_model(), pixel_weight=weight)
    assert found.startswith("the map of pixel weights of picture 1 of the batch (counted from 0) has 1 NaN")


def test_a_parameter_and_a_buffer():
    model = small_model()
    model[1].running_var.data[2] = np.nan
    assert "the buffer 1.running_var has 1 NaN and 0 infinite values of 4, before the step" in find(model)
    model[1].weight.data[1] = np.inf  # parameters are looked at first
    found = find(model)
    assert "the parameter 1.weight has 0 NaN and 1 infinite values of 4, before the step" in found
    assert found.endswith(f"{WEIGHTS}.")


@pytest.mark.parametrize("name", models.names())
def test_a_parameter_in_the_middle_of_every_model(name):
    model = models.build(name, in_channels=3, classes=3, width=4)
    parameters = list(model.named_parameters())
    middle, parameter = parameters[len(parameters) // 2]
    parameter.data.reshape(-1)[0] = np.nan
    assert find(model, ce, *batch(size=64)).startswith(
        f"the parameter {middle} has 1 NaN and 0 infinite values"
    )


@pytest.mark.parametrize("name", models.names())
def test_every_model_is_watched(name):
    model = models.build(name, in_channels=3, classes=3, width=4)

    def loss_of(scores, labels):
        return ce(
            scores, labels[:, : scores.shape[2], : scores.shape[3]]
        )  # the patch classifier's map is smaller

    assert find(model, loss_of, *batch(size=64)) is None
    found = find(model, lambda scores, labels: loss_of(scores, labels) * float("nan"), *batch(size=64))
    assert found.startswith("the loss is nan, although the scores are finite")
    convolutions = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    place, layer = convolutions[len(convolutions) // 2]
    layer.weight.data[...] = 3e38
    found = find(model, loss_of, *batch(size=64))
    assert found.startswith(f"{place} ({type(layer).__name__}): its output has")
    assert found.endswith(f"the largest weight 3e+38. {GROWN}.")


def test_a_layer_that_overflows():
    model = small_model()
    model[3].weight.data[...] = 1e38
    model[1].bias.data[...] = 100
    found = find(model)
    assert found.startswith(
        "3 (Conv2d): its output has 0 NaN and 384 infinite values of 384, its input had none; "
    )
    assert found.endswith(f"the largest weight 1e+38. {GROWN}.")


def test_a_layer_whose_arithmetic_is_wrong():
    found = find(small_model(Elementwise(forward=lambda x: np.sqrt(-1 - x))))
    assert found.startswith(
        "3 (Elementwise): its output has 512 NaN and 0 infinite values of 512, its input had none"
    )
    assert found.endswith(f"{OWN}.")


def test_what_happens_between_layers():
    class Doubled(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)

        def forward(self, x):
            return self.second(self.first(x) * 1e38 * 1e38)

    found = find(Doubled())
    assert found.startswith("second (Conv2d): its input has ")
    assert "although the layers before it gave finite ones" in found


def test_the_scores():
    class Doubled(nn.Module):
        def __init__(self):
            self.only = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.only(x) * 1e38 * 1e38

    assert find(Doubled()).startswith("the map of the model's scores has ")


def test_the_gradient_of_a_layers_own_backward():
    found = find(small_model(Elementwise(backward=with_nan)))
    assert found.startswith(
        "3 (Elementwise): the gradient that it passes back to its input has 3 NaN and 0 infinite values of 512, "
        "the one that arrived at its output had none; the largest there was "
    )
    assert found.endswith(f"{BACKWARD}.")


def test_the_gradient_of_the_loss():
    def loss_of(scores, labels):
        return record(scores.data.sum(), [scores], lambda dy: with_nan(scores.data))

    assert find(small_model(), loss_of).startswith("the gradient that the loss gives to the scores has 3 NaN")


def test_the_gradient_between_layers():
    class Between(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)

        def forward(self, x):
            y = self.first(x)
            return self.second(record(y.data, [y], with_nan))

    found = find(Between())
    assert found.startswith("first (Conv2d): the gradient that arrives at its output has 3 NaN")


def test_the_gradient_of_a_parameter():
    class Shift(nn.Module):
        def __init__(self):
            self.shift = nn.Parameter(np.zeros((1, 4, 1, 1), np.float32))

        def forward(self, x):
            def backward(dy):
                return dy, with_nan(dy.sum(axis=(0, 2, 3), keepdims=True))

            return record(x.data + self.shift.data, [x, self.shift], backward)

    found = find(small_model(Shift()))
    assert found.startswith(
        "the gradient of the parameter 3.shift has 3 NaN and 0 infinite values of 4, although"
    )


def test_numbers_that_explode_layer_by_layer():
    model = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(9)))
    for layer in model:
        layer.weight.data[...] = 1e6  # 3e6 times larger with each layer
    found = find(model)
    assert found.startswith("5 (Conv2d): its output has 0 NaN and ")
    assert found.endswith(f"{GROWN}.")


def test_gradients_that_explode_layer_by_layer():
    layers = [Elementwise(backward=lambda dy: dy * np.float32(1e12)) for _ in range(6)]
    found = find(small_model(*layers))
    assert found.startswith("5 (Elementwise): the gradient that it passes back")  # 3 and 4 don't get there
    assert found.endswith(f"{GROWN}.")


def test_a_module_that_is_called_twice():
    class Twice(nn.Module):
        def __init__(self, layer):
            self.first, self.layer, self.again = nn.Conv2d(3, 3, 1), layer, layer

        def forward(self, x):
            return self.again(self.layer(self.first(x)))

    grows = Elementwise(forward=lambda x: (x + 1) * np.float32(1e25))
    assert find(Twice(grows)).startswith("layer (Elementwise, call 2): its output has 0 NaN")
    breaks = Elementwise(backward=with_nan)
    assert find(Twice(breaks)).startswith("layer (Elementwise, call 2): the gradient that it passes back")


def test_layers_that_return_indices():
    class Pooled(nn.Module):
        def __init__(self):
            self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d()
            self.first, self.last, self.bad = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1), Elementwise()

        def forward(self, x):
            y, indices = self.pool(self.first(x))
            return self.last(self.unpool(self.bad(y), indices, x.shape[2:]))

    model = Pooled()
    assert find(model) is None
    model.bad = Elementwise(backward=with_nan)
    assert find(model).startswith(
        "bad (Elementwise): the gradient that it passes back to its input has 3 NaN"
    )


def test_a_model_that_is_one_layer():
    model = nn.Conv2d(3, 3, 1)
    model.weight.data[...] = 3e38
    assert find(model).startswith("the model (Conv2d): its output has")


def test_an_error_flies_and_everything_is_put_back():
    def broken(scores, labels):
        raise RuntimeError("the loss is broken")

    with pytest.raises(RuntimeError, match="the loss is broken"):
        model = small_model(nn.Dropout(0.5))
        before = everything(model)
        try:
            first_nonfinite(model, broken, *batch())
        finally:
            assert everything(model) == before


def test_a_layer_that_writes_into_its_buffer_and_counts():
    class Counting(nn.Module):
        def __init__(self):
            self.seen, self.steps = nn.Buffer(np.zeros(1, np.float32)), 0

        def forward(self, x):
            self.seen.data += 1
            self.steps += 1
            return x

    model = small_model(Counting())
    assert find(model) is None
    assert model[3].steps == 0 and model[3].seen.data[0] == 0


def test_the_repetition_is_the_step_itself():
    """Dropout drops the same, and the loss sees the scores that it saw in the step."""
    model, (images, labels) = small_model(nn.Dropout(0.5)), batch()
    nn.set_step(model, 5)
    seen = []

    def loss_of(scores, labels):
        seen.append(scores.data)
        return ce(scores, labels)

    assert first_nonfinite(model, loss_of, images, labels) is None
    loss_of(model(images), labels)
    assert np.array_equal(*seen)
