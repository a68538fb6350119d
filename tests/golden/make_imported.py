"""Make models/imported.npz and imported/*.safetensors: states that PyTorch saved, and what it computes with them.

    python tests/golden/make_imported.py

with ``torch==2.13.0`` and ``safetensors``. The networks are the twins of make_unet.py, make_fcn.py and
make_segnet.py, in evaluation, with weights of Kaiming's initialisation, random biases and running statistics from a
few batches. Each state is saved by ``safetensors.torch``, one as float32, one as float16, one as bfloat16; one has the
names that a wrapper (``DataParallel``) makes. The scores are computed in float32 from the saved numbers. Expected:
``scores``, from ``x``.
"""

import torch
from make_fcn import FCN
from make_segnet import SegNet
from make_unet import UNet
from safetensors.torch import load_file, save_file
from store import FOLDER, Cases

VERSION = "2.13.0"
OUT = FOLDER / "imported"


def add(cases, file, name, options, twin, size, kind, prefix=""):
    """Move the statistics, save the state, load it again and note the scores of two pictures."""
    generator = torch.Generator().manual_seed(len(file))
    channels = options.pop("in_channels")
    for weight in twin.parameters():
        if weight.ndim == 4:
            torch.nn.init.kaiming_normal_(weight, generator=generator)
    for _ in range(3):
        twin.train()(torch.randn(4, channels, *size, generator=generator))
    state = {prefix + key: a.to(kind) if a.is_floating_point() else a for key, a in twin.state_dict().items()}
    save_file(state, OUT / f"{file}.safetensors")
    saved = {key.removeprefix(prefix): a.float() for key, a in load_file(OUT / f"{file}.safetensors").items()}
    twin.load_state_dict(saved)
    x = torch.randn(2, channels, *size, generator=generator)
    with torch.no_grad():
        scores = twin.eval()(x)
    (OUT / f"{file}.safetensors").chmod(0o644)
    print(file, tuple(scores.shape), f"{scores.min():.2f} to {scores.max():.2f}")
    assert scores.std() > 0.05
    cases.add(name, options, {"x": x.numpy()}, {"scores": scores.numpy()}, name=file)


def main():
    """Make the files."""
    torch.manual_seed(2015)
    OUT.mkdir(exist_ok=True)
    cases = Cases()
    unet = UNet(in_channels=3, classes=4, width=4, depth=2, padding="same")
    add(cases, "unet", "unet", {"in_channels": 3, "depth": 2}, unet, (24, 32), torch.float32)
    options = {"convolutions": (1, 2, 1, 1, 1), "fc_channels": 6, "norm": "batch", "padding": "same"}
    fcn = FCN(
        1, 3, 2, 2, options["fc_channels"], options["convolutions"], options["norm"], options["padding"]
    )
    add(cases, "fcn8s", "fcn8s", {"in_channels": 1, **options}, fcn, (37, 64), torch.float16)
    segnet = SegNet(3, 5, 4, "batch")
    options = {"in_channels": 3, "convolutions": (2, 1)}
    add(cases, "segnet", "segnet", options, segnet, (21, 32), torch.bfloat16, "module.")
    cases.write("models/imported.npz", {"made by": "make_imported.py", "torch": torch.__version__})


if __name__ == "__main__":
    if torch.__version__.split("+")[0] != VERSION:
        raise SystemExit(
            f"make_imported.py needs torch=={VERSION}, but torch {torch.__version__} is installed"
        )
    main()
