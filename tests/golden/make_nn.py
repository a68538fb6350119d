"""Make models/nn_layers.npz: every layer of ``minisegnet.nn`` that PyTorch has, in small chains.

Run it as ``python tests/golden/make_nn.py`` with ``torch==2.13.0`` installed. It is seeded, so it makes the same
cases again. All numbers are float64.

A ``chain`` is a ``torch.nn.Sequential``: its state (names and order are part of the case), an input, an upstream
gradient, and what comes of them once in training and then in evaluation: y, dx, the gradient of each parameter,
and the state after the forward in training (the running statistics have moved). ``unpool`` is a pooling whose indices
an unpooling uses. ``initial`` holds what PyTorch's initialisers promise for a shape: fans, the standard deviation
of ``kaiming_normal_`` and the bound of ``xavier_uniform_``; it also holds what a large draw gave.

Left out: dropout in training, whose random bits are ours (see docs/conventions.md).
"""

import numpy as np
from store import Cases, numbers

VERSION = "2.13.0"

try:
    import torch
except ImportError as error:
    raise SystemExit(f"make_nn.py needs torch=={VERSION}: pip install torch=={VERSION}") from error
if torch.__version__.split("+")[0] != VERSION:
    raise SystemExit(f"make_nn.py needs torch=={VERSION}, but torch {torch.__version__} is installed")

# Each layer: its class, the arguments that have no name, and those that have one. Both libraries read them alike.
CHAINS = {
    "convolution": [["Conv2d", [3, 4, 3], {"stride": 2, "padding": 1}], ["ReLU", [], {}]],
    "rectangular": [["Conv2d", [2, 3, [3, 2]], {"stride": [1, 2], "padding": [2, 0], "dilation": [2, 1]}]],
    "groups": [["Conv2d", [4, 6, 3], {"groups": 2, "bias": False}], ["LeakyReLU", [0.2], {}]],
    "transposed": [["ConvTranspose2d", [3, 2, 4], {"stride": 2, "padding": 1}], ["Sigmoid", [], {}]],
    "transposed groups": [
        ["ConvTranspose2d", [4, 2, 3], {"stride": 2, "output_padding": 1, "groups": 2, "bias": False}]
    ],
    "transposed dilated": [
        ["ConvTranspose2d", [2, 3, [3, 2]], {"stride": [2, 3], "padding": [1, 0], "dilation": [1, 2]}]
    ],
    "block": [
        ["Conv2d", [3, 4, 3], {"padding": 1, "bias": False}],
        ["BatchNorm2d", [4], {}],
        ["ReLU", [], {}],
        ["MaxPool2d", [2], {}],
    ],
    "normalisation": [["BatchNorm2d", [3], {"eps": 0.001, "momentum": 0.3}]],
    "nested": [
        ["Sequential", [], {}, [["Conv2d", [2, 3, 1], {}], ["BatchNorm2d", [3], {}], ["Identity", [], {}]]],
        ["Sequential", [], {}, [["ReLU", [], {}], ["ConvTranspose2d", [3, 2, 2], {"stride": 2}]]],
    ],
    "dense": [["Linear", [6, 5], {}], ["ReLU", [], {}], ["Linear", [5, 2], {"bias": False}]],
    "max pooling": [["MaxPool2d", [3], {"stride": 2, "padding": 1, "ceil_mode": True}]],
    "average pooling": [
        ["AvgPool2d", [[3, 2]], {"stride": 2, "padding": 1, "ceil_mode": True}],
        ["AvgPool2d", [2], {"padding": 1, "count_include_pad": False}],
    ],
    "bilinear": [["Upsample", [], {"scale_factor": 2, "mode": "bilinear"}]],
    "bilinear corners": [["Upsample", [], {"size": [5, 7], "mode": "bilinear", "align_corners": True}]],
    "nearest": [["Upsample", [], {"scale_factor": [2, 3], "mode": "nearest"}]],
    "dropout": [["Conv2d", [3, 3, 1], {}], ["Dropout", [0.5], {}]],
}


def build(spec):
    """Make a torch.nn.Sequential."""
    layers = []
    for kind, args, kwargs, *inner in spec:
        if inner:
            layers.append(build(inner[0]))
            continue
        args = [tuple(a) if isinstance(a, list) else a for a in args]
        kwargs = {name: tuple(a) if isinstance(a, list) else a for name, a in kwargs.items()}
        layers.append(getattr(torch.nn, kind)(*args, **kwargs))
    return torch.nn.Sequential(*layers).double()


def state(model):
    """Copy the state's arrays."""
    return {name: a.detach().numpy().copy() for name, a in model.state_dict().items()}


def prefixed(prefix, arrays):
    """Put a word in front of every name."""
    return {f"{prefix}/{name}": a for name, a in arrays.items()}


def first_channels(spec):
    """Find how many channels go in; None: the chain takes any."""
    for kind, args, _, *inner in spec:
        found = first_channels(inner[0]) if inner else args[0] if kind in TAKES_CHANNELS else None
        if found:
            return found
    return None


TAKES_CHANNELS = ("Conv2d", "ConvTranspose2d", "BatchNorm2d", "Linear")


def add_chain(cases, rng, name, spec):
    """Run one chain in training and in evaluation."""
    model = build(spec)
    filled = {}
    for key, tensor in model.state_dict().items():
        if key.endswith("num_batches_tracked"):
            filled[key] = tensor
            continue
        values = numbers(rng, *tensor.shape)
        positive = key.endswith("running_var") or (key.endswith("weight") and tensor.ndim == 1)
        filled[key] = torch.tensor(np.abs(values) + 0.5 if positive else values)
    model.load_state_dict(filled)
    channels = first_channels(spec) or 2
    x = numbers(rng, 3, channels) if spec[0][0] == "Linear" else numbers(rng, 2, channels, 4, 5)
    inputs = {"x": x, **prefixed("state", state(model))}
    expected, dy = {}, None
    for mode in ("train", "eval"):
        if mode == "train" and name == "dropout":
            continue
        model.train(mode == "train")
        model.zero_grad()
        leaf = torch.tensor(x, requires_grad=True)
        y = model(leaf)
        dy = numbers(rng, *y.shape) if dy is None else dy
        y.backward(torch.tensor(dy))
        grads = {key: p.grad.numpy().copy() for key, p in model.named_parameters()}
        found = {"y": y.detach().numpy(), "dx": leaf.grad.numpy(), **prefixed("grad", grads)}
        expected |= prefixed(mode, found)
    expected |= prefixed("after", state(model))
    inputs["dy"] = dy
    parameters = [key for key, _ in model.named_parameters()]
    cases.add("chain", {}, inputs, expected, name=name, layers=spec, parameters=parameters)


def add_unpool(cases, rng):
    """Pool, scale, and put the values back, on a size that isn't even."""
    x = numbers(rng, 2, 2, 5, 7)
    leaf = torch.tensor(x, requires_grad=True)
    y, indices = torch.nn.MaxPool2d(2, return_indices=True)(leaf)
    back = torch.nn.MaxUnpool2d(2)(y, indices, output_size=(5, 7))
    dy = numbers(rng, *back.shape)
    back.backward(torch.tensor(dy))
    expected = {"y": back.detach().numpy(), "indices": indices.numpy(), "dx": leaf.grad.numpy()}
    cases.add("unpool", {}, {"x": x, "dy": dy}, expected, name="unpool")


def add_initial(cases):
    """Ask PyTorch's initialisers about a few shapes, and draw from them."""
    torch.manual_seed(0)
    for shape in [(64, 32, 3, 3), (48, 64, 1, 1), (32, 16, 7, 5), (300, 200)]:
        weight = torch.empty(shape, dtype=torch.float64)
        fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(weight)
        torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")
        he = [weight.mean().item(), weight.std().item()]
        torch.nn.init.xavier_uniform_(weight)
        xavier = [weight.mean().item(), weight.std().item(), weight.abs().max().item()]
        expected = {"fans": np.array([fan_in, fan_out]), "he": np.array(he), "xavier": np.array(xavier)}
        cases.add("initial", {"shape": shape}, {}, expected, name="x".join(map(str, shape)))


def main():
    """Make all the cases."""
    rng = np.random.default_rng(0)
    cases = Cases()
    for name, spec in CHAINS.items():
        add_chain(cases, rng, name, spec)
    add_unpool(cases, rng)
    add_initial(cases)
    cases.write("models/nn_layers.npz", {"torch": VERSION, "made by": "make_nn.py"})


if __name__ == "__main__":
    main()
