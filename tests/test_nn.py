"""Layers and modules: PyTorch's numbers and names, states, modes, initial values, gradients, errors."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from golden_cases import Arrays, read

from minisegnet import functional, models, nn, no_grad, ops, optim
from minisegnet.autograd import Tensor
from minisegnet.nn import init
from minisegnet.testing import check_gradients, distinct_values
from minisegnet.training.watching import Observer, watched

# ---------------------------------------------------------------------------------------------------------
# PyTorch's numbers (golden/make_nn.py made them)


GOLDEN = {case.line["name"]: case for case in read("models/nn_layers").values()}
CHAINS = {name: case for name, case in GOLDEN.items() if case.op == "chain"}
INITIAL = {name: case for name, case in GOLDEN.items() if case.op == "initial"}


def build(layers: list[Any]) -> nn.Sequential:
    """Make a Sequential as the golden file describes it."""
    made = []
    for kind, args, kwargs, *inner in layers:
        made.append(build(inner[0]) if inner else getattr(nn, kind)(*args, **kwargs))
    return nn.Sequential(*made)


def part(prefix: str, arrays: Arrays) -> Arrays:
    return {name[len(prefix) + 1 :]: a for name, a in arrays.items() if name.startswith(prefix + "/")}


def without_counts(arrays: Arrays) -> Arrays:
    return {name: a for name, a in arrays.items() if not name.endswith("num_batches_tracked")}


def chain(name: str, dtype: str) -> nn.Sequential:
    with nn.creating(dtype=dtype, initialise=False):
        model = build(CHAINS[name].line["layers"])
    model.load_state_dict(part("state", CHAINS[name].inputs))
    return model


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CHAINS)
def test_layers_compute_what_pytorch_computes(name: str, dtype: str, backend: str) -> None:
    case, tolerance = CHAINS[name], 1e-10 if dtype == "float64" else 2e-5
    model, dy = chain(name, dtype), case.inputs["dy"].astype(dtype)
    with ops.use_backend(backend):
        for mode in ("train", "eval"):
            expected = part(mode, case.expected)
            if not expected:
                continue
            model.train(mode == "train").zero_grad()
            x = Tensor(case.inputs["x"].astype(dtype), requires_grad=True)
            y = model(x)
            y.backward(dy)
            found = {"y": y.data, "dx": x.grad}
            found |= {f"grad/{key}": p.grad for key, p in model.named_parameters()}
            assert found.keys() == expected.keys()
            for key, a in found.items():
                assert a is not None and a.dtype == np.dtype(dtype) and a.shape == expected[key].shape
                np.testing.assert_allclose(a, expected[key], rtol=0, atol=tolerance * scale(expected[key]))
    after = without_counts(part("after", case.expected))
    for key, a in model.state_dict().items():
        np.testing.assert_allclose(a, after[key], rtol=0, atol=tolerance * scale(after[key]))


def scale(a: np.ndarray) -> float:
    return max(1.0, float(np.abs(a).max(initial=0)))


@pytest.mark.parametrize("name", CHAINS)
def test_names_and_their_order_are_pytorchs(name: str) -> None:
    case, model = CHAINS[name], chain(name, "float64")
    assert list(model.state_dict()) == list(without_counts(part("state", case.inputs)))
    assert [key for key, _ in model.named_parameters()] == case.line["parameters"]


def test_unpooling_puts_values_back_as_pytorch_does(backend: str) -> None:
    case = GOLDEN["unpool"]
    x = Tensor(case.inputs["x"], requires_grad=True)
    with ops.use_backend(backend):
        y, indices = nn.MaxPool2d(2, return_indices=True)(x)
        back = nn.MaxUnpool2d()(y, indices, output_size=(5, 7))
        back.backward(case.inputs["dy"])
    np.testing.assert_array_equal(indices, case.expected["indices"])
    np.testing.assert_array_equal(back.data, case.expected["y"])
    np.testing.assert_array_equal(x.grad, case.expected["dx"])


# ---------------------------------------------------------------------------------------------------------
# Every layer, in a table: how to make it, and an input's shape


class Layer(NamedTuple):
    """A layer that takes one map."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = (2, 2, 4, 6)
    out: tuple[int, ...] = (2, 2, 4, 6)


LAYERS = {
    "AvgPool2d": Layer(lambda: nn.AvgPool2d(2), out=(2, 2, 2, 3)),
    "BatchNorm2d": Layer(lambda: nn.BatchNorm2d(2)),
    "Conv2d": Layer(lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), out=(2, 4, 2, 3)),
    "ConvTranspose2d": Layer(
        lambda: nn.ConvTranspose2d(2, 2, 3, stride=2, output_padding=1, groups=2), out=(2, 2, 10, 14)
    ),
    "Dropout": Layer(lambda: nn.Dropout(0.5)),
    "Identity": Layer(lambda: nn.Identity()),
    "LeakyReLU": Layer(lambda: nn.LeakyReLU(0.1)),
    "Linear": Layer(lambda: nn.Linear(6, 3), (2, 4, 6), (2, 4, 3)),
    "MaxPool2d": Layer(lambda: nn.MaxPool2d(2), out=(2, 2, 2, 3)),
    "ReLU": Layer(lambda: nn.ReLU()),
    "Sequential": Layer(lambda: nn.Sequential(nn.Conv2d(2, 2, 1), nn.LeakyReLU(0.3))),
    "Sigmoid": Layer(lambda: nn.Sigmoid()),
    "Upsample": Layer(lambda: nn.Upsample(scale_factor=(2, 1)), out=(2, 2, 8, 6)),
}
# What takes no map, or more than one; each has tests of its own here.
OTHERS = {
    "Buffer",
    "MaxUnpool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "creating",
    "folded",
    "in_turn",
    "set_step",
}


def test_the_table_has_every_layer() -> None:
    assert set(nn.__all__) == LAYERS.keys() | OTHERS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_keep_the_dtype_and_take_arrays_and_tensors(name: str, training: bool, dtype: str) -> None:
    with nn.creating(dtype=dtype):
        layer = LAYERS[name].make().train(training)
    x = distinct_values(LAYERS[name].shape, dtype=dtype)
    y = layer(x)
    assert isinstance(y, Tensor) and y.shape == LAYERS[name].out and y.dtype == np.dtype(dtype)
    nn.set_step(layer, 0)
    np.testing.assert_array_equal(layer(Tensor(x)).data, y.data)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_each_layer(name: str, training: bool, fast: str) -> None:
    with nn.creating(dtype="float64", seed=1):
        layer = LAYERS[name].make().train(training)
    check(layer, distinct_values(LAYERS[name].shape), fast)


def check(model: nn.Module, x: np.ndarray, backend: str) -> None:
    """Check the gradients of a model with respect to its input and all its parameters."""

    def run(x: Tensor, *_: Tensor) -> Any:
        nn.set_step(model, 0)  # the same dropout each time
        return model(x)

    with ops.use_backend(backend):
        check_gradients(run, Tensor(x, requires_grad=True), *model.parameters())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("act", [nn.LeakyReLU, nn.Sigmoid, nn.ReLU])
def test_gradients_through_a_small_net(act: Callable[[], nn.Module], training: bool, fast: str) -> None:
    with nn.creating(dtype="float64", seed=2):
        model = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            act(),
            nn.MaxPool2d(2),
            nn.Sequential(nn.Conv2d(3, 4, 1), act(), nn.Dropout(0.3)),
            nn.ConvTranspose2d(4, 2, 2, stride=2),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.AvgPool2d(2),
        ).train(training)
    check(model, distinct_values((2, 2, 4, 6), seed=3), fast)


def test_layers_without_gradients_are_not_recorded() -> None:
    with no_grad():
        y = nn.Conv2d(1, 1, 1)(np.ones((1, 1, 2, 2), np.float32))
    assert y.node is None and not y.requires_grad


# ---------------------------------------------------------------------------------------------------------
# Modules: names, modes, containers


class Net(nn.Module):
    """Children, own parameters and buffers, in a mixed order."""

    def __init__(self) -> None:
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
        self.scale = nn.Parameter(np.ones(1, np.float32))
        self.offset = nn.Buffer(np.zeros(1, np.float32))
        self.heads = nn.ModuleList([nn.Conv2d(2, 1, 1, bias=False), nn.Linear(2, 2)])


def test_own_tensors_come_before_the_childrens() -> None:
    assert list(Net().state_dict()) == [
        "scale", "offset",
        "body.0.weight", "body.0.bias",
        "body.1.weight", "body.1.bias", "body.1.running_mean", "body.1.running_var",
        "heads.0.weight", "heads.1.weight", "heads.1.bias",
    ]  # fmt: skip
    assert [name for name, _ in Net().named_buffers()] == [
        "offset",
        "body.1.running_mean",
        "body.1.running_var",
    ]


def test_parameters_are_counted_and_their_gradients_forgotten() -> None:
    net = Net()
    assert net.parameter_count() == 1 + (18 + 2) + 4 + 2 + 6
    net.scale.grad = np.ones(1, np.float32)
    net.zero_grad()
    assert net.scale.grad is None
    assert all(p.requires_grad for p in net.parameters())
    assert not any(b.requires_grad for _, b in net.named_buffers())


def test_a_shared_layer_is_learned_once_and_stored_under_both_names() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.first = nn.Conv2d(1, 1, 1)
            self.second = self.first

        def forward(self, x: Tensor) -> Any:
            return self.second(self.first(x))

    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["first.weight", "first.bias"]
    assert list(tied.state_dict()) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    assert tied.parameter_count() == 2
    tied.load_state_dict(tied.state_dict())
    with nn.creating(dtype="float64"):
        check(Tied(), distinct_values((1, 1, 2, 2)), "numpy")


def test_train_and_eval_reach_every_module() -> None:
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(m.training for _, m in net.named_modules())
    net.heads.train()
    assert [name for name, m in net.named_modules() if m.training] == ["heads", "heads.0", "heads.1"]
    assert all(m.training for _, m in net.train().named_modules())


def test_modules_are_found_by_name() -> None:
    names = [name for name, _ in Net().named_modules()]
    assert names == ["", "body", "body.0", "body.1", "body.2", "heads", "heads.0", "heads.1"]
    assert [name for name, _ in Net().named_children()] == ["body", "heads"]


def test_containers_are_lists() -> None:
    first, second, third = nn.ReLU(), nn.Sigmoid(), nn.Identity()
    listed = nn.ModuleList([first, second])
    listed.append(third)
    assert len(listed) == 3 and list(listed) == [first, second, third]
    assert listed[0] is first and listed[-1] is third
    with pytest.raises(IndexError):
        listed[3]
    chained = nn.Sequential(first, second)
    assert len(chained) == 2 and chained[1] is second and isinstance(chained, nn.ModuleList)
    x = np.array([-1.0, 1.0])
    np.testing.assert_array_equal(chained(x).data, functional.sigmoid(functional.relu(x)).data)
    np.testing.assert_array_equal(nn.Sequential()(x).data, x)


def test_more_than_ten_modules_stay_in_order() -> None:
    chained = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(12)))
    assert [name for name, _ in chained.named_parameters()] == [f"{i}.weight" for i in range(12)]


def test_calling_wraps_arrays_of_floats_only() -> None:
    class Look(nn.Module):
        def forward(self, *inputs: Any, **options: Any) -> Any:
            return [type(x) for x in inputs], options

    kinds, options = Look()(np.ones(1), Tensor(np.ones(1)), np.array([1]), (2, 3), None, size=4)
    assert kinds == [Tensor, Tensor, np.ndarray, tuple, type(None)] and options == {"size": 4}


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Net has no forward"):
        Net()(np.ones(1))
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        nn.ModuleList()(np.ones(1))


def test_containers_refuse_what_is_no_module() -> None:
    with pytest.raises(TypeError, match="ModuleList takes modules; got function"):
        nn.ModuleList([functional.relu])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"got list; put a star in front of a list: Sequential\(\*modules\)"):
        nn.Sequential([nn.ReLU()])  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------
# States


def test_a_state_goes_round() -> None:
    with nn.creating(seed=1):
        one = Net()
    with nn.creating(seed=2):
        other = Net()
    state = one.state_dict()
    other.load_state_dict(state)
    for name, a in other.state_dict().items():
        np.testing.assert_array_equal(a, state[name])
    state["scale"][:] = 7  # a copy: neither model feels it
    assert one.scale.data[0] == 1 and other.scale.data[0] == 1


@pytest.mark.parametrize(("source", "own"), [("float64", "float32"), ("float32", "float64")])
def test_floats_are_converted_to_the_models_dtype(source: str, own: str) -> None:
    with nn.creating(dtype=source, seed=1):
        layer = nn.Conv2d(2, 3, 3)
    with nn.creating(dtype=own, seed=2):
        other = nn.Conv2d(2, 3, 3)
    weight = other.weight
    other.load_state_dict(layer.state_dict())
    assert other.weight is weight and weight.dtype == np.dtype(own)
    np.testing.assert_array_equal(weight.data, layer.weight.data.astype(own))


def test_any_layout_comes_in_contiguous() -> None:
    layer = nn.Linear(3, 4)
    layer.load_state_dict({"weight": np.ones((3, 4)).T, "bias": np.ones(8)[::2]})
    assert layer.weight.data.flags.c_contiguous and layer.bias is not None
    assert layer.bias.data.flags.c_contiguous


def test_num_batches_tracked_is_ignored() -> None:
    norm = nn.BatchNorm2d(2)
    norm.load_state_dict(norm.state_dict() | {"num_batches_tracked": np.array(3)})
    chained = nn.Sequential(norm)
    chained.load_state_dict(chained.state_dict() | {"0.num_batches_tracked": np.array(3)})


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    net = Net()
    before = net.state_dict()
    wrong: dict[str, Any] = {name: a + 1 for name, a in before.items()}
    wrong["body.0.wieght"] = wrong.pop("body.0.weight")
    wrong["heads.0.weight"] = np.ones((1, 2, 3, 3))
    wrong["scale"] = np.array([1])
    wrong["offset"] = [1.0]
    with pytest.raises(ValueError, match="the state does not fit Net; nothing was changed") as caught:
        net.load_state_dict(wrong)
    assert str(caught.value).splitlines()[1:] == [
        "  unknown: body.0.wieght (did you mean body.0.weight?)",
        "  missing: body.0.weight (2, 1, 3, 3)",
        "  wrong dtype: scale is int64, expected floating point",
        "  wrong type: offset is a list, expected an array (tensor.numpy()?)",
        "  wrong shape: heads.0.weight is (1, 2, 3, 3), expected (1, 2, 1, 1)",
    ]
    for name, a in net.state_dict().items():
        np.testing.assert_array_equal(a, before[name])


def test_a_long_list_of_problems_is_cut() -> None:
    with pytest.raises(ValueError, match="and 1 more") as caught:
        Net().load_state_dict({})
    assert len(str(caught.value).splitlines()) == 1 + 10 + 1


def test_a_part_of_a_state_comes_in_when_not_strict() -> None:
    net = Net()
    net.load_state_dict({"scale": np.array([3.0]), "strange": np.ones(1)}, strict=False)
    assert net.scale.data[0] == 3
    with pytest.raises(ValueError, match="wrong shape: scale"):
        net.load_state_dict({"scale": np.ones(2)}, strict=False)


# ---------------------------------------------------------------------------------------------------------
# BatchNorm and dropout


def test_running_statistics_move_in_training_only() -> None:
    with nn.creating(dtype="float64"):
        norm = nn.BatchNorm2d(2, momentum=0.25)
    x = np.random.default_rng(0).normal(3, 2, (4, 2, 5, 5))
    norm.eval()
    np.testing.assert_allclose(norm(x).data, x / np.sqrt(1 + 1e-5), rtol=1e-12)
    assert not norm.running_mean.data.any()
    norm.train()
    y = norm(x).data
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3), ddof=1)
    np.testing.assert_allclose(norm.running_mean.data, 0.25 * mean, rtol=1e-12)
    np.testing.assert_allclose(norm.running_var.data, 0.75 + 0.25 * variance, rtol=1e-12)
    for _ in range(80):
        norm(x)
    norm.eval()
    np.testing.assert_allclose(norm(x).data, y, rtol=0.02, atol=0.02)  # biased against unbiased variance


def test_dropout_drops_in_training_only() -> None:
    x = np.ones((50, 50))
    dropout = nn.Dropout(0.3)
    y = dropout(x).data
    assert abs((y == 0).mean() - 0.3) < 0.03
    np.testing.assert_allclose(y[y != 0], 1 / 0.7)
    tensor = Tensor(x)
    assert dropout.eval()(tensor) is tensor and dropout.step == 1
    assert nn.Dropout(0)(tensor) is tensor
    assert not nn.Dropout(1.0)(x).data.any()


def test_dropout_is_a_function_of_seed_step_and_layer() -> None:
    def layers(seed: int) -> nn.Sequential:
        with nn.creating(seed=seed):
            return nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))

    x = np.ones(200)
    one, same, other = layers(5), layers(5), layers(6)
    first, again = one[0](x).data, one[0](x).data
    assert not np.array_equal(first, again)  # the next step
    assert not np.array_equal(first, one[1](x).data)  # another layer
    assert not np.array_equal(first, other[0](x).data)  # another seed
    np.testing.assert_array_equal(first, same[0](x).data)
    expected, _ = ops.dropout(x, 0.5, key=(5, 0, 0))
    np.testing.assert_array_equal(first, expected)
    nn.set_step(one, 7)
    expected, _ = ops.dropout(x, 0.5, key=(5, 7, 1))
    np.testing.assert_array_equal(one[1](x).data, expected)
    nn.set_step(one, 1)
    np.testing.assert_array_equal(one[0](x).data, again)


def test_dropout_is_the_same_on_every_backend(backend: str) -> None:
    with nn.creating(seed=2**63):
        dropout = nn.Dropout(0.5)
    with ops.use_backend(backend):
        found = dropout(np.ones((3, 7))).data
    with ops.use_backend("reference"):
        nn.set_step(dropout, 0)
        np.testing.assert_array_equal(found, dropout(np.ones((3, 7))).data)


# ---------------------------------------------------------------------------------------------------------
# Initial values


def test_the_same_seed_gives_the_same_weights() -> None:
    def weights(**settings: Any) -> list[np.ndarray]:
        with nn.creating(**settings):
            return [p.data for p in Net().parameters()]

    for one, same in zip(weights(seed=4), weights(seed=4), strict=True):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(weights(seed=4)[1], weights(seed=5)[1])
    double = weights(seed=4, dtype="float64")
    np.testing.assert_array_equal(weights(seed=4)[1], double[1].astype(np.float32))


def test_creating_sets_the_dtype_of_everything() -> None:
    with nn.creating(dtype=np.float64):
        layers = [nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Linear(1, 1), nn.ConvTranspose2d(1, 1, 1)]
        with nn.creating(dtype="float32"):
            inner = nn.Conv2d(1, 1, 1)
        after = nn.Conv2d(1, 1, 1)
    for layer in layers:
        assert all(a.dtype == np.float64 for a in layer.state_dict().values())
    assert inner.weight.dtype == np.float32 and after.weight.dtype == np.float64
    assert nn.Conv2d(1, 1, 1).weight.dtype == np.float32


def test_layers_outside_of_creating_differ_and_are_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    def three() -> list[np.ndarray]:
        monkeypatch.setattr(init, "_outside", init.Creation())  # as in a new process
        return [nn.Linear(3, 3).weight.data for _ in range(3)]

    one, two, three_ = three()
    assert not np.array_equal(one, two) and not np.array_equal(two, three_)
    np.testing.assert_array_equal(three(), [one, two, three_])
    assert (nn.Dropout().layer, nn.Dropout().layer) == (0, 1)


def test_not_initialising_allocates_the_same() -> None:
    with nn.creating(initialise=False):
        empty = Net()
    assert empty.parameter_count() == Net().parameter_count()
    assert [a.shape for a in empty.state_dict().values()] == [a.shape for a in Net().state_dict().values()]


def test_biases_start_as_zero_and_scales_as_one() -> None:
    layers = nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(2, 3, 3), nn.Linear(2, 3), nn.BatchNorm2d(3)
    for layer in layers:
        assert layer.bias is not None and not layer.bias.data.any()
    assert (layers[3].weight.data == 1).all() and (layers[3].running_var.data == 1).all()


@pytest.mark.parametrize("name", INITIAL)
def test_initialisers_promise_what_pytorchs_promise(name: str) -> None:
    case, shape = INITIAL[name], tuple(INITIAL[name].line["kwargs"]["shape"])
    fan_in, fan_out = case.expected["fans"]
    assert init.fans(shape) == (fan_in, fan_out)
    rng = np.random.default_rng(0)
    he, xavier = init.he_normal(shape, rng), init.xavier_uniform(shape, rng)
    room = 5 / math.sqrt(math.prod(shape))  # five standard errors
    for values, torchs, deviation in (
        (he, case.expected["he"], math.sqrt(2 / fan_in)),
        (xavier, case.expected["xavier"], math.sqrt(2 / (fan_in + fan_out))),
    ):
        for mean, std in ((values.mean(), values.std()), torchs[:2]):
            assert abs(mean) < room * deviation
            assert abs(std / deviation - 1) < room
    bound = math.sqrt(6 / (fan_in + fan_out))
    for largest in (np.abs(xavier).max(), case.expected["xavier"][2]):
        assert 0.99 * bound < largest <= bound


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(32, 64, 3, padding=1, bias=False),
        lambda: nn.Conv2d(32, 64, 3, padding=1, groups=4, bias=False),
        lambda: nn.ConvTranspose2d(32, 64, 2, stride=2, bias=False),
        lambda: nn.ConvTranspose2d(32, 64, 4, stride=2, padding=1, bias=False),
    ],
)
def test_he_weights_keep_the_variance_through_relu(make: Callable[[], nn.Module]) -> None:
    """The mean of squares that goes in comes out again after convolution and ReLU."""
    x = np.random.default_rng(0).normal(size=(4, 32, 32, 32)).astype(np.float32)
    with nn.creating(seed=0):
        y = functional.relu(make()(x)).data
    inside = y[:, :, 2:-2, 2:-2]  # fewer taps meet something at the border
    assert abs(float((inside**2).mean()) - 1) < 0.1


@pytest.mark.parametrize(("s", "corner"), [(2, 0.5625), (8, 0.316), (32, 0.266)])
def test_bilinear_weights_interpolate_inside_and_fade_at_the_border(s: int, corner: float) -> None:
    """SYSTEMS.md rows 3 to 5: half-pixel interpolation inside, too little at the border."""
    with nn.creating(dtype="float64", initialise=False):
        up = nn.ConvTranspose2d(2, 2, 2 * s, stride=s, padding=s // 2, bias=False)
    up.weight.data = init.bilinear(up.weight.shape)
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 5))
    found, expected = up(x).data, ops.resize_bilinear(x, (4 * s, 5 * s))
    inside = np.s_[..., s // 2 : -s // 2, s // 2 : -s // 2]
    np.testing.assert_allclose(found[inside], expected[inside], rtol=0, atol=1e-14)
    ones = up(np.ones((1, 2, 4, 5))).data[0, 0]
    np.testing.assert_allclose(ones[s // 2 : -s // 2, s // 2 : -s // 2], 1, atol=1e-14)
    assert abs(ones[0, 0] - corner) < 5e-4
    assert ones.max() <= 1 + 1e-14 and ones[0, 0] == ones.min()


def test_bilinear_weights_of_an_odd_factor_interpolate_too() -> None:
    with nn.creating(dtype="float64", initialise=False):
        up = nn.ConvTranspose2d(1, 1, 5, stride=3, padding=1, bias=False)
    up.weight.data = init.bilinear(up.weight.shape)
    x = np.random.default_rng(0).normal(size=(1, 1, 4, 5))
    expected = ops.resize_bilinear(x, (12, 15))
    np.testing.assert_allclose(up(x).data[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], rtol=0, atol=1e-14)


# ---------------------------------------------------------------------------------------------------------
# Errors

ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups is 2, but it must divide the 3 input channels"),
    (lambda: nn.ConvTranspose2d(4, 3, 3, groups=2), "and the 3 output channels"),
    (lambda: nn.Conv2d(0, 4, 3), "in_channels is 0; expected an integer of at least 1"),
    (lambda: nn.Conv2d(1, 1, 0), "kernel_size is 0"),
    (lambda: nn.Conv2d(1, 1, (3, 3, 3)), "kernel_size is"),
    (lambda: nn.Conv2d(1, 1, 3, stride=0), "stride is 0"),
    (lambda: nn.Conv2d(1, 1, 3, padding=-1), "padding is -1"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, dilation=0), "dilation is 0"),
    (lambda: nn.Linear(0, 1), "in_features is 0"),
    (lambda: nn.Linear(1, 0), "out_features is 0"),
    (lambda: nn.BatchNorm2d(0), "channels is 0"),
    (lambda: nn.Dropout(1.5), "p is 1.5; expected a probability from 0 to 1"),
    (lambda: nn.Dropout(float("nan")), "p is nan"),
    (lambda: nn.set_step(nn.ReLU(), -1), "step is -1"),
    (lambda: nn.MaxPool2d(0), "kernel_size is 0"),
    (lambda: nn.AvgPool2d(2, stride=0), "stride is 0"),
    (lambda: nn.Upsample(), "needs scale_factor or size, and not both"),
    (lambda: nn.Upsample(scale_factor=2, size=4), "needs scale_factor or size, and not both"),
    (lambda: nn.Upsample(scale_factor=0), "scale_factor is 0"),
    (lambda: nn.Upsample(scale_factor=2, mode="cubic"), "mode is 'cubic'; expected 'bilinear' or 'nearest'"),
    (lambda: nn.Upsample(scale_factor=2, mode="nearest", align_corners=True), "mode='bilinear' only"),
    (lambda: nn.creating(dtype="float16").__enter__(), "dtype is 'float16'; expected float32 or float64"),
    (lambda: nn.creating(dtype="flaot32").__enter__(), "dtype is 'flaot32'; expected float32 or float64"),
    (lambda: nn.creating(dtype=">f4").__enter__(), "dtype is '>f4'"),
    (lambda: nn.creating(dtype=None).__enter__(), "dtype is None"),
    (lambda: nn.creating(dtype=int).__enter__(), "expected float32 or float64"),
    (lambda: nn.creating(seed=-1).__enter__(), "seed is -1"),
    (lambda: init.bilinear((2, 3, 4, 4)), "as many outputs as inputs"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_bad_arguments_are_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value)


def test_a_seed_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="seed is None"):
        nn.creating(seed=None).__enter__()  # type: ignore[arg-type]


def test_an_error_inside_creating_ends_it() -> None:
    with pytest.raises(ValueError, match="kernel_size"), nn.creating(dtype="float64"):
        nn.Conv2d(1, 1, 0)
    assert nn.Conv2d(1, 1, 1).weight.dtype == np.float32


# ---------------------------------------------------------------------------------------------------------
# Folding


def with_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give the batch normalisations something to do."""
    rng = np.random.default_rng(seed)
    for _, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                tensor.data = rng.normal(size=tensor.shape).astype(tensor.dtype)
            module.running_var.data = rng.uniform(0.1, 4, module.running_var.shape).astype(
                module.weight.dtype
            )
    return model.eval()


@pytest.mark.parametrize("name", ["unet", "segnet", "fcn8s", "deconvnet"])
def test_a_folded_model_says_the_same(name: str, fast: str) -> None:
    model = with_statistics(models.build(name, classes=3, width=3, dtype="float64"))
    before = {key: value.copy() for key, value in model.state_dict().items()}
    x = np.random.default_rng(1).normal(size=(2, 3, 64, 64))
    copy = nn.folded(model)
    with no_grad():
        np.testing.assert_allclose(copy(x).data, model(x).data, rtol=1e-9, atol=1e-9)
    normalisations = [module for _, module in copy.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert not normalisations and not copy.training
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_folding_leaves_what_does_not_stand_behind_a_convolution() -> None:
    model = with_statistics(
        nn.Sequential(
            nn.BatchNorm2d(2),
            nn.Conv2d(2, 3, 1),
            nn.ReLU(),
            nn.BatchNorm2d(3),
            nn.ConvTranspose2d(3, 3, 2, groups=3),
        )
    )
    model.append(with_statistics(nn.BatchNorm2d(3)))
    copy = nn.folded(model)
    assert sum(isinstance(module, nn.BatchNorm2d) for _, module in copy.named_modules()) == 3
    x = np.random.default_rng(1).normal(size=(1, 2, 4, 5)).astype(np.float32)
    with no_grad():
        np.testing.assert_array_equal(copy(x).data, model(x).data)
    assert not any(
        np.shares_memory(ours.data, theirs.data)
        for ours, theirs in zip(model.parameters(), copy.parameters(), strict=True)
    )


def test_nobody_changes_what_a_folded_model_computes_with() -> None:
    copy = nn.folded(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)))
    with pytest.raises(ValueError, match="read-only"):
        copy[0].weight.data[:] = 0
    with pytest.raises(ValueError, match=r"SGD: parameter 0\.weight is read-only.*nn\.folded"):
        optim.SGD(copy.named_parameters(), lr=0.1)
    x = np.ones((1, 1, 4, 4), np.float32)
    state = {name: a + 1 for name, a in copy.state_dict().items()}
    with no_grad():
        before = copy(x).data.copy()
        copy.load_state_dict(state)  # other arrays, not other numbers in the same ones
        np.testing.assert_allclose(copy(x).data, before + x.sum() / 16 * 9 + 1, rtol=1e-5)


# ---------------------------------------------------------------------------------------------------------
# Two modules as one op


def _ops_called(call: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the forward ops that a call runs."""
    called: list[str] = []
    with monkeypatch.context() as patch:
        for name in ("conv2d", "conv2d_relu", "batch_norm", "batch_norm_relu", "relu"):
            run = getattr(ops, name)
            patch.setattr(ops, name, lambda *a, n=name, f=run, **k: called.append(n) or f(*a, **k))
        call()
    return called


def _layers_in_a_row() -> nn.Sequential:
    class Halved(nn.Conv2d):
        """A layer of somebody's own, whose forward is another."""

        def forward(self, x: Any) -> Any:
            return super().forward(x) * 0.5

    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.ReLU(),
        Halved(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1),
    )  # fmt: skip


def test_a_relu_runs_with_the_layer_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = _layers_in_a_row(), np.ones((2, 2, 6, 5), np.float32)
    apart = ["conv2d", "batch_norm", "relu", "conv2d", "relu", "relu", "conv2d", "relu", "conv2d"]
    fused = ["conv2d", "batch_norm_relu", "conv2d_relu", "relu", "conv2d", "relu", "conv2d"]
    with ops.use_backend("numpy"):
        assert _ops_called(lambda: model(x), monkeypatch) == fused
        with watched(model, Observer()):
            assert _ops_called(lambda: model(x), monkeypatch) == apart
        assert _ops_called(lambda: model(x), monkeypatch) == fused
    with ops.use_backend(ModuleType("mine")):  # a learner's own kernels: those that they have written
        assert [call in model for call in nn.in_turn(model)] == [True] * 9


@pytest.mark.parametrize("training", [True, False])
def test_two_in_one_op_are_the_two_one_after_the_other(backend: str, training: bool) -> None:
    def results(look: Callable[[nn.Module], Any]) -> list[Any]:
        with nn.creating(seed=3):
            model = _layers_in_a_row().train(training)
        x, dy = (np.random.default_rng(0).standard_normal(shape) for shape in [(2, 2, 6, 5), (2, 3, 4, 3)])
        x = Tensor(x.astype(np.float32), requires_grad=True)
        with look(model):
            y = model(x)
            y.backward(dy.astype(np.float32))
            gradients = [parameter.grad for parameter in model.parameters()]
            return [y.data, x.grad, *gradients, *model.state_dict().values()]

    with ops.use_backend(backend):
        apart, fused = results(lambda model: watched(model, Observer())), results(lambda model: nullcontext())
    for a, b in zip(fused, apart, strict=True):
        np.testing.assert_array_equal(a, b)
