"""Profiles: the work against numbers from paper, who owns what, memory; never how long something took."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisegnet import Tensor, functional, models, nn, ops, use_backend
from minisegnet.cli import main
from minisegnet.profiling import CountingBackend, Machine, Work, profile, work_of
from minisegnet.profiling.memory import kept_arrays

MACHINE = Machine(flops=1e10, bandwidth=1e9)
F = 4  # bytes of a float32


@pytest.fixture(autouse=True)
def numpy_backend():
    with use_backend("numpy"):
        yield


def counted(call):
    """Run a function on tensors, and its backward; return the work by op."""
    from minisegnet.backends import numpy as kernels

    found = {}
    with use_backend(CountingBackend(kernels, lambda op, work: found.__setitem__(op, work))):
        y = call()
        y = y[0] if isinstance(y, tuple) else y
        y.backward(np.ones_like(y.data))
    return found


def leaf(*shape):
    return Tensor(np.random.default_rng(0).random(shape, np.float32), requires_grad=True)


# ---------------------------------------------------------------------------------------------------------
# Work


def test_a_convolution():
    x, w, b = leaf(2, 3, 8, 10), leaf(5, 3, 3, 3), leaf(5)
    found = counted(lambda: functional.conv2d(x, w, b, stride=2, padding=1))
    outputs = 2 * 5 * 4 * 5  # N K OH OW
    products = 2 * outputs * 27  # a product and a sum for each of 3 x 3 x 3 weights
    arrays = 2 * 3 * 8 * 10 + 5 * 27
    assert found["conv2d"] == Work(products + outputs, F * (arrays + 5 + outputs))
    # to the input and to the weights; dy, x, w in, dx, dw, db out
    assert found["conv2d_backward"] == Work(2 * products + outputs, F * (2 * arrays + 5 + outputs))


def test_a_convolution_of_the_picture_needs_no_gradient_there():
    x, w = np.ones((1, 2, 5, 5), np.float32), leaf(4, 1, 3, 3)
    found = counted(lambda: functional.conv2d(x, w, groups=2))
    products = 2 * (4 * 9) * 9  # one channel a group
    assert found["conv2d"].flops == products
    assert found["conv2d_backward"].flops == products + 4 * 9


def test_a_transposed_convolution_does_what_its_mirror_image_does():
    x, w = leaf(1, 6, 4, 5), leaf(6, 3, 2, 2)
    found = counted(lambda: functional.conv_transpose2d(x, w, stride=2))
    products = 2 * (6 * 4 * 5) * (3 * 2 * 2)  # every input pixel meets 3 x 2 x 2 weights
    assert found["conv_transpose2d"].flops == products
    assert found["conv_transpose2d_backward"].flops == 2 * products + 3 * 8 * 10
    dy = np.ones((1, 3, 8, 10), np.float32)
    mirror = work_of("conv2d", (dy, w.data, None), {}, ops.conv2d(dy, w.data, stride=2))
    assert mirror.flops == products


def test_a_linear_layer_and_a_matrix_product():
    x, w, b = leaf(7, 4), leaf(3, 4), leaf(3)
    found = counted(lambda: functional.linear(x, w, b))
    assert found["linear"] == Work(2 * 7 * 4 * 3 + 21, F * (28 + 12 + 3 + 21))
    assert found["linear_backward"].flops == 2 * (2 * 7 * 4 * 3) + 21


def test_others():
    x = leaf(1, 2, 4, 4)
    assert counted(lambda: functional.relu(x)) == {
        "relu": Work(32, F * 64),
        "relu_backward": Work(32, F * 96),
    }
    assert counted(lambda: functional.concat([x, x]))["concat"] == Work(0, F * (32 + 64))  # x moves in once
    found = counted(lambda: functional.max_pool2d(x, 2))
    assert found["max_pool2d"] == Work(32, F * (32 + 8) + 8 * 8)  # int64 indices


def test_a_module_of_kernels_is_handed_on_with_all_its_words():
    from minisegnet.backends import numpy as kernels

    counting = CountingBackend(kernels, lambda op, work: None)
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    with use_backend(counting):
        _, indices = ops.max_pool2d(x, 2)
    assert indices.ravel().tolist() == [5, 7, 13, 15]
    with pytest.raises(ValueError, match="no kernel named 'nosuch'"):
        with use_backend(counting):
            ops.dispatch.kernel("nosuch", x)


# ---------------------------------------------------------------------------------------------------------
# Parts


def owners(result):
    return [(part.owner.name, part.owner.kind, part.owner.call) for part in result.parts]


def test_every_layer_once_and_what_modules_do_between_them():
    model = models.build("unet", classes=2, width=2, depth=1, norm=None)
    result = profile(model, size=16, batch=1, repeats=1, machine=MACHINE)
    assert owners(result) == [
        ("encoder.0.0", "Conv2d", 1),
        ("encoder.0.1", "ReLU", 1),
        ("encoder.0.2", "Conv2d", 1),
        ("encoder.0.3", "ReLU", 1),
        ("pool", "MaxPool2d", 1),
        ("bottom.0", "Conv2d", 1),
        ("bottom.1", "ReLU", 1),
        ("bottom.2", "Conv2d", 1),
        ("bottom.3", "ReLU", 1),
        ("decoder.0.up", "ConvTranspose2d", 1),
        ("decoder.0.convolutions.0", "Conv2d", 1),
        ("decoder.0.convolutions.1", "ReLU", 1),
        ("decoder.0.convolutions.2", "Conv2d", 1),
        ("decoder.0.convolutions.3", "ReLU", 1),
        ("decoder.0", "UpAndAcross", 1),  # its concatenation
        ("head", "Conv2d", 1),
        ("(loss)", "cross-entropy", 1),
        ("(update)", "Adam", 1),
    ]
    parts = {part.owner.name: part for part in result.parts}
    joined = parts["decoder.0"].work
    assert joined["forward"] == Work(0, 2 * F * 4 * 16 * 16)  # two maps of 2 channels in, one of 4 out
    assert joined["backward"].bytes == 2 * F * 4 * 16 * 16
    first = parts["encoder.0.0"]
    assert first.output == (1, 2, 16, 16) and first.output_bytes == F * 512
    assert first.work["forward"].flops == 2 * 512 * 27 + 512
    assert first.work["backward"].flops == 2 * 512 * 27 + 512  # no gradient for the picture
    assert all(part.seconds["forward"] > 0 for part in result.parts)
    assert all(part.seconds["backward"] > 0 for part in result.parts[:-1])
    assert result.parameter_bytes == F * model.parameter_count()


@pytest.mark.parametrize("name", models.names())
def test_all_work_of_every_model_is_in_some_part(name):
    """The parts hold what a counting backend sees in a whole step."""
    from minisegnet.backends import numpy as kernels
    from minisegnet.losses import cross_entropy

    model = models.build(name, classes=3, width=2)
    result = profile(model, size=64, batch=2, repeats=1, machine=MACHINE)
    whole = []
    images = np.ones((2, 3, 64, 64), np.float32)
    with use_backend(CountingBackend(kernels, lambda op, work: whole.append(work))):
        scores = model(images)
        cross_entropy(scores, np.zeros((2, *scores.shape[2:]), int)).backward()
    for k in range(2):  # operations, bytes
        parts = sum(work[k] for part in result.parts for work in part.work.values())
        assert parts == sum(work[k] for work in whole)
    assert len(set(owners(result))) == len(result.parts)
    assert result.kept_bytes <= result.peak_bytes


def test_the_model_is_as_it_was():
    model = models.build("unet", classes=2, width=2, depth=1, dropout=0.5).eval()
    before = {name: array.tobytes() for name, array in model.state_dict().items()}
    attributes = [(name, sorted(vars(module))) for name, module in model.named_modules()]
    told = []
    profile(model, size=16, batch=2, repeats=1, machine=MACHINE, tell=told.append)
    assert {name: array.tobytes() for name, array in model.state_dict().items()} == before
    assert [(name, sorted(vars(module))) for name, module in model.named_modules()] == attributes
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())
    assert "timing 1 steps, by layers and whole" in told


def test_a_layer_that_is_called_twice():
    class Twice(nn.Module):
        in_channels, classes = 2, 2

        def __init__(self):
            self.layer = nn.Conv2d(2, 2, 1)

        def forward(self, x):
            return self.layer(self.layer(x)) + x

        def output_size(self, size):
            return size

    result = profile(Twice(), size=4, batch=1, repeats=1, machine=MACHINE)
    assert owners(result)[:3] == [
        ("layer", "Conv2d", 1),
        ("layer", "Conv2d", 2),
        ("the model", "Twice", 1),  # its sum
    ]
    assert result.parts[1].owner.title == "layer (call 2)"
    assert result.parts[0].work["backward"].flops < result.parts[1].work["backward"].flops  # no dx


# ---------------------------------------------------------------------------------------------------------
# Memory


def test_what_is_kept_for_the_backward():
    size = 1 * 2 * 16 * 16 * F  # bytes of a map of the first level
    model = models.build("unet", in_channels=1, classes=2, width=2, depth=1, norm=None)
    result = profile(model, size=16, batch=1, repeats=1, machine=MACHINE)
    kept = {part.owner.name: part.kept_bytes for part in result.parts}
    assert kept["encoder.0.0"] == size // 2  # the picture; the weights were there before
    assert kept["encoder.0.1"] == size  # relu's y
    assert kept["encoder.0.2"] == 0  # its x is relu's y, which is counted there
    assert kept["pool"] == 2 * 8 * 8 * 8  # int64 indices
    assert kept["bottom.0"] == 2 * 8 * 8 * F  # the pooled map
    assert kept["decoder.0"] == 0  # a concatenation keeps lengths only
    assert kept["decoder.0.convolutions.0"] == 2 * size  # what was joined
    assert result.kept_bytes == sum(kept.values())


def test_the_arrays_of_a_backward_function():
    big = np.zeros((4, 4))
    view = big[1:3]
    found = list(kept_arrays(lambda: (view, {"a": [view]}, 3)))
    assert len(found) == 1 and found[0] is big  # who holds a view holds all of it
    assert list(kept_arrays(None)) == []
    table = {"w": (np.ones(3), "text")}
    assert [a.size for a in kept_arrays(lambda: table)] == [3]


def test_extra_memory_of_a_layer_that_makes_a_large_array_for_a_moment():
    class Wasteful(nn.Module):
        in_channels, classes = 1, 1

        def __init__(self):
            self.weight = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            np.ones(10**6)  # 8 MB that nobody keeps
            return self.weight(x)

        def output_size(self, size):
            return size

    class Model(Wasteful):
        def __init__(self):
            self.inner = Wasteful()
            self.last = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return self.last(self.inner(x)) + x

    result = profile(Model(), size=8, batch=1, repeats=1, machine=MACHINE)
    parts = {part.owner.name: part for part in result.parts}
    assert 8e6 <= result.peak_bytes < 9e6
    assert max(parts["last"].peak_bytes.values()) < 1e5
    assert parts["the model"].peak_bytes["forward"] < 1e5  # it was inner's


# ---------------------------------------------------------------------------------------------------------
# The roofline, the command


def test_the_roofline():
    machine = Machine(flops=100.0, bandwidth=10.0)
    assert machine.ridge == 10.0
    assert [machine.attainable(i) for i in (1, 10, 20)] == [10.0, 100.0, 100.0]
    assert machine.shortest(flops=200, moved=10) == 2.0  # arithmetic
    assert machine.shortest(flops=200, moved=100) == 10.0  # memory
    assert Work(6, 3).intensity == 2.0 and Work().intensity == 0.0


def test_measuring_the_machine():
    from minisegnet.profiling import measure_machine

    machine = measure_machine(side=64, copied=2**16)
    assert all(math.isfinite(value) and value > 0 for value in machine)


WORDS = ["profile", "--width", "2", "--size", "32x48", "--batch", "1", "--repeats", "1", "--backend", "numpy"]


@pytest.fixture
def quick_machine(monkeypatch):
    monkeypatch.setattr("minisegnet.profiling.measure.measure_machine", lambda dtype: MACHINE)


def test_the_command(tmp_path, capsys, quick_machine):
    path = tmp_path / "new" / "profile.png"
    assert main([*WORDS, "--depth", "2", "--out", str(path)]) == 0
    text = capsys.readouterr().out
    assert "unet, 1 pictures of 32 x 48, numpy" in text
    rows = [line for line in text.splitlines() if line.startswith(("encoder.0.0 Conv2d", "head Conv2d"))]
    assert len(rows) == 2
    assert "a whole step" in text and "in no part" in text
    with Image.open(path) as picture:
        assert picture.size[0] > 500


def test_the_command_as_json(capsys, quick_machine):
    assert main([*WORDS, "--model", "segnet-basic", "--json", "--classes", "5"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["backend"] == "numpy"
    assert told["parts"][0]["output"][0] == 1
    assert told["parts_s"] == pytest.approx(
        sum(p[d]["s"] for p in told["parts"] for d in ("forward", "backward"))
    )
    assert told["rest_s"] == pytest.approx(told["step_s"] - told["parts_s"])


def test_the_command_refuses(capsys):
    assert main([*WORDS, "--model", "unte"]) == 1
    assert "did you mean 'unet'" in capsys.readouterr().err
    assert main([*WORDS, "--model", "segnet", "--depth", "3"]) == 1
    assert "has no option 'depth'" in capsys.readouterr().err
    assert main([*WORDS, "--out", "a.jpg"]) == 1
    assert "ends in .png" in capsys.readouterr().err


def test_the_example_of_the_page_runs(capsys):
    page = (Path(__file__).parent.parent / "docs" / "profile.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(compile(example, "profile.md", "exec"), {})
    assert "Work(flops=" in capsys.readouterr().out
