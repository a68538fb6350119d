"""Small trainings for tests: seconds of work, with everything in it that could make two runs differ."""

from minisegnet.training.display import Display
from minisegnet.training.loop import train
from minisegnet.training.run_folder import LAST
from minisegnet.training.session import Session
from minisegnet.training.settings import Settings
from minisegnet.training.stopping import StopRequest

TINY = Settings(
    data="shapes",
    size=(32, 32),
    count=5,  # not a multiple of the batch: batches straddle epochs
    model="unet",
    width=2,
    depth=1,
    options={"dropout": 0.3},
    steps=6,
    batch=2,
    augment="flip+rotate+scale+colour+elastic",
    loss="ce + dice",
    weights="median-frequency",
    evaluate_every=2,
    save_every=3,
    warmup=2,
)


class StopAfter(Display):
    """Says nothing, and asks for a stop after so many steps."""

    def __init__(self, steps, stop):
        super().__init__(quiet=True)
        self.steps, self.stop = steps, stop

    def step(self, step, steps, measured):
        self.stop.requested = step >= self.steps


def train_for(steps, session, run):
    """Train in a folder until so many steps are made in all, or to the end."""
    run.mkdir(exist_ok=True)
    stop = StopRequest()
    return train(session, run, StopAfter(steps, stop), stop)


def last_bytes(run):
    return (run / LAST).read_bytes()


def trained(settings, run):
    """Train from beginning to end; return the bytes of the last checkpoint."""
    assert train_for(10**9, Session(settings), run) == "finished"
    return last_bytes(run)
