"""Make optim.json: what PyTorch's optimisers, schedulers and gradient clipping do.

Run it as ``python tests/golden/make_optim.py`` with ``torch==2.13.0`` installed. It is seeded, so it makes the
same file again. All numbers are float64, written so that they are read back exactly.

All optimisers start from the same three small parameters and get the same ten gradients for each. Some of the
gradients are None, so that each parameter has its own count of updates. Where a case has ``rates``, these are set
one after the other as learning rates. ``after`` holds all parameters after each step, end to end.
"""

import json

import numpy as np
from store import FOLDER, numbers

VERSION = "2.13.0"

try:
    import torch
    from torch.optim import lr_scheduler
except ImportError as error:
    raise SystemExit(f"make_optim.py needs torch=={VERSION}: pip install torch=={VERSION}") from error
if torch.__version__.split("+")[0] != VERSION:
    raise SystemExit(f"make_optim.py needs torch=={VERSION}, but torch {torch.__version__} is installed")

STEPS = 10
SHAPES = {"w": (2, 2), "b": (3,), "scale": ()}
WITHOUT_GRADIENT = {"w": (), "b": (0, 4), "scale": (7,)}  # steps

OPTIMISERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.01}),
    ("Adam", {"lr": 0.1, "betas": (0.0, 0.0)}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.0}),
    ("AdamW", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 0.001, "weight_decay": 0.3}),
]
RATES = [0.05, 0.1, 0.2, 0.2, 0.15, 0.1, 0.05, 0.0, 0.01, 0.001]
GROUPS = {  # settings of w's group and of the group of b and scale
    "SGD": [{"weight_decay": 0.1}, {"lr": 1.0, "momentum": 0.0}],
    "Adam": [{"lr": 0.5, "betas": (0.7, 0.9)}, {"weight_decay": 0.2}],
    "AdamW": [{"weight_decay": 0.5}, {"eps": 0.1}],
}


def train(name, kwargs, start, gradients, rates=None, groups=None):
    """Take the steps, and give all parameters after each."""
    parameters = {key: torch.tensor(value, requires_grad=True) for key, value in start.items()}
    w, b, scale = parameters.values()
    if groups is None:
        what = [w, b, scale]
    else:
        what = [{"params": [w], **groups[0]}, {"params": [b, scale], **groups[1]}]
    optimiser = getattr(torch.optim, name)(what, **kwargs)
    after = []
    for t in range(STEPS):
        if rates is not None:
            for group in optimiser.param_groups:
                group["lr"] = rates[t]
        for key, parameter in parameters.items():
            gradient = gradients[key][t]
            parameter.grad = None if gradient is None else torch.tensor(gradient, dtype=torch.float64)
        optimiser.step()
        after.append([x for p in parameters.values() for x in p.detach().numpy().ravel().tolist()])
    return {"optimiser": name, "kwargs": kwargs, "rates": rates, "groups": groups, "after": after}


def rates_of(make, lr, steps):
    """Let a PyTorch scheduler walk, and give the learning rate of each step."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedulers = make(optimiser)
    rates = []
    for _ in range(steps):
        rates.append(float(optimiser.param_groups[0]["lr"]))
        optimiser.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


def schedules():
    """Our schedule as an expression, and PyTorch's rates for it."""
    made = {
        "step(0.3, every=3, factor=0.1)": rates_of(lambda o: [lr_scheduler.StepLR(o, 3, 0.1)], 0.3, 14),
        "poly(0.3, total=10)": rates_of(lambda o: [lr_scheduler.PolynomialLR(o, 10, 0.9)], 0.3, 14),
        "poly(0.3, total=10, power=2)": rates_of(lambda o: [lr_scheduler.PolynomialLR(o, 10, 2)], 0.3, 14),
        "cosine(0.3, total=10)": rates_of(lambda o: [lr_scheduler.CosineAnnealingLR(o, 10)], 0.3, 11),
        "cosine(0.3, total=10, final=0.02)": rates_of(
            lambda o: [lr_scheduler.CosineAnnealingLR(o, 10, 0.02)], 0.3, 11
        ),
        "warmup(constant(0.3), steps=5)": rates_of(
            lambda o: [lr_scheduler.LinearLR(o, 1 / 5, total_iters=4)], 0.3, 10
        ),
        "warmup(poly(0.3, total=10), steps=5)": rates_of(
            lambda o: [lr_scheduler.LinearLR(o, 1 / 5, total_iters=4), lr_scheduler.PolynomialLR(o, 10, 0.9)],
            0.3,
            14,
        ),
    }
    return [{"schedule": ours, "rates": rates} for ours, rates in made.items()]


def clipping(gradients):
    """Clip the first gradients, with and without infinity and NaN among them."""
    cases = []
    for max_norm in (0.0, 0.5, 2.0, 100.0):
        for poison in (None, np.inf, np.nan):
            given = [np.array(gradients["w"][0]), np.array(gradients["scale"][0])]
            if poison is not None:
                given[0][1, 0] = poison
            parameters = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in given]
            for parameter, gradient in zip(parameters, given, strict=True):
                parameter.grad = torch.tensor(gradient)
            norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
            clipped = [p.grad.numpy().tolist() for p in parameters]
            given = [g.tolist() for g in given]
            cases.append({"max_norm": max_norm, "given": given, "norm": norm.item(), "clipped": clipped})
    return cases


def main():
    """Make the file."""
    rng = np.random.default_rng(2013)
    start = {name: numbers(rng, *shape) for name, shape in SHAPES.items()}
    gradients = {
        name: [None if t in WITHOUT_GRADIENT[name] else numbers(rng, *shape).tolist() for t in range(STEPS)]
        for name, shape in SHAPES.items()
    }
    cases = [train(name, kwargs, start, gradients) for name, kwargs in OPTIMISERS]
    for name, groups in GROUPS.items():
        kwargs = {"lr": 0.1} | ({"momentum": 0.9} if name == "SGD" else {})
        cases.append(train(name, kwargs, start, gradients, rates=RATES))
        cases.append(train(name, kwargs, start, gradients, groups=groups))

    whole = {
        "about": [{"made_by": "make_optim.py", "torch": torch.__version__, "numpy": np.__version__}],
        "start": [{name: value.tolist() for name, value in start.items()}],
        "gradients": [gradients],
        "optimisers": cases,
        "schedules": schedules(),
        "clipping": clipping(gradients),
    }
    parts = [  # one case a line
        f'"{key}": [\n' + ",\n".join(json.dumps(line) for line in lines) + "\n]"
        for key, lines in whole.items()
    ]
    path = FOLDER / "optim.json"
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8", newline="\n")
    print(f"{path.name}: {len(cases)} runs, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
