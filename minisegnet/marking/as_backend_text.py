"""What `check --as-backend` says, in words."""

import textwrap
from typing import Any

from minisegnet.marking.as_backend_task import TEST, called_by
from minisegnet.marking.report import Report

WIDTH = 100
SHOWN = 8  # kernels in the table
SAME = 1e-3  # the first losses, relative: what rounding in float32 may do over a few steps


def told_before(report: Report) -> list[str]:
    """Say what begins, and warn of functions that are wrong."""
    lines = [f"{report.name}: training the demo's network with its functions"]
    wrong = [v.op for v in report.verdicts if v.status == "fail"]
    if wrong:
        it = "it is used as it is" if len(wrong) == 1 else "they are used as they are"
        lines += _wrapped(
            f"Warning: {', '.join(wrong)} didn't pass the marking; {it}. `minisegnet check {report.name}` says what is "
            "wrong."
        )
    return lines


def told_chosen(event: dict[str, Any]) -> list[str]:
    """Say what was measured, and what that leaves time for."""
    rung, (mine, ours) = event["rung"], event["seconds"]
    what = "background or object" if rung["classes"] == 2 else "background, circle, square, triangle or star"
    depth = f", depth {rung['depth']}" if rung["depth"] else ""
    return [
        "",
        *_wrapped(
            f"With your kernels a step takes {duration(mine)} on {size_of(rung)}, with NumPy's {duration(ours)}. "
            f"So there is time for {event['steps']} steps of that size: {rung['batch']} pictures a step, "
            f"width {rung['width']}{depth}; each pixel is to be {what}."
        ),
    ]


def told_result(event: dict[str, Any]) -> list[str]:
    """Tell what came out: mIoU, speed, and which kernels were whose."""
    mine, ours = event["mine"], event["ours"]
    slower = mine["step_seconds"] / ours["step_seconds"]
    lines = [
        "",
        f"After {event['steps']} steps, on {TEST} other pictures:",
        "",
        f"    {'':16}{'yours':>10}{'NumPy':>10}",
        f"    {'mIoU':16}{mine['miou']:>10.3f}{ours['miou']:>10.3f}",
        f"    {'last loss':16}{mine['last_loss']:>10.3f}{ours['last_loss']:>10.3f}",
        f"    {'a step':16}{duration(mine['step_seconds']):>10}{duration(ours['step_seconds']):>10}   {ratio(slower)}",
        "",
        *_wrapped(_told_losses(mine["first_losses"], ours["first_losses"])),
    ]
    lines += [line for note in event["notes"] for line in _wrapped(f"But {note}.")]
    return [*lines, "", *_told_kernels(event)]


def _told_losses(mine: list[float], ours: list[float]) -> str:
    """Compare the first losses: later ones drift apart by rounding alone."""
    for step, (a, b) in enumerate(zip(mine, ours, strict=True), start=1):
        if abs(a - b) > SAME * max(abs(b), 1e-3):
            cause = (
                "the forward differs" if step == 1 else "a backward differs, for the first loss was the same"
            )
            return (
                f"The losses differ from step {step} on ({a:.4f}, with NumPy {b:.4f}): {cause}."
                if step <= 2
                else f"The losses differ from step {step} on ({a:.4f}, with NumPy {b:.4f})."
            )
    return (
        f"The losses of the first {len(mine)} steps are the same ({', '.join(f'{loss:.4f}' for loss in mine)}): your "
        "kernels compute what NumPy's do. (Later, rounding makes them drift apart.)"
    )


def _told_kernels(event: dict[str, Any]) -> list[str]:
    mine, ours = event["mine"]["kernels"], event["ours"]["kernels"]
    own = [op for op in event["functions"] if op in mine]
    lines = ["Your kernels in a step, the slowest first:", ""]
    for op in sorted(own, key=lambda op: -mine[op][0])[:SHOWN]:
        calls, seconds, theirs = mine[op][1], mine[op][0], ours[op][0]
        lines.append(
            f"    {op:32}{calls:4.0f} calls {duration(seconds):>10}, NumPy's {duration(theirs):>8}   "
            f"{ratio(seconds / theirs)}"
        )
    lines += [f"    and {len(own) - SHOWN} more"] if len(own) > SHOWN else []
    others = sorted(op for op in mine if op not in event["functions"])
    lines += ["", *_wrapped(f"NumPy's, as your file has none: {', '.join(others) or 'none'}.")]
    unused = sorted(op for op in event["functions"] if op not in mine)
    if unused:
        lines += _wrapped(f"Not called by this network ({event['model']}): {', '.join(unused)}.")
    return lines


def told(event: dict[str, Any]) -> list[str]:
    """Say why there is no result."""
    match event["event"]:
        case "unmarked":
            text = f"It can't be used: {event['text']}"
        case "unloaded":
            text = f"It can't be loaded: {event['kind']}: {event['text']}\n  {event['where']}"
        case "uncalled":
            some = ", ".join(sorted(called_by("unet") | called_by("segnet") | called_by("fcn8s")))
            having = ", ".join(event["functions"]) or "no functions that are written"
            text = (
                f"There is nothing to train: the file has {having}, and none of the demo's networks calls them. "
                f"They call {some}."
            )
        case "unusable":
            text = f"It can't be trained with: {event['text']}"
        case "nonfinite":
            text = (
                f"The loss became {event['loss']} in step {event['step']} (with NumPy's kernels it was "
                f"{event['ours']:.4f}), and the training ended there."
            )
        case "slow":
            text = _told_slow(event)
        case "late":
            text = _told_late(event)
        case "silent":
            text = (
                "It was stopped: it gave no answer for a long time, and couldn't even say where it was. Does a kernel "
                "hang in a loop without an end?"
            )
        case _:
            text = (
                f"The process ended by itself (exit code {event.get('code')}): did a kernel end the program?"
            )
    return ["", *_wrapped(text)]


def _told_slow(event: dict[str, Any]) -> str:
    (mine, ours), rung = event["seconds"], event["rung"]
    return (
        f"With your kernels a step takes {duration(mine)} on {size_of(rung)} with {rung['batch']} pictures, the "
        f"smallest size there is; with NumPy's {duration(ours)}. The {event['seconds_in_all']:.0f} seconds aren't "
        "enough to train and to compare: it has to become faster first."
    )


def _told_late(event: dict[str, Any]) -> str:
    rung, inside = event["rung"], event["inside"]
    where = f"It was in your {inside} at that moment. " if inside else ""
    if event["steps"] == 0 and event["smallest"]:
        return (
            f"Not even one step was done within {event['seconds_in_all']:.0f} seconds, on {size_of(rung)} with "
            f"{rung['batch']} pictures, the smallest size there is. {where}A loop without an end? Otherwise it has to "
            "become faster before a network can be trained with it."
        )
    return (
        f"The time was over ({event['seconds_in_all']:.0f} seconds) at {size_of(rung)} after {event['steps']} "
        f"step{'s' * (event['steps'] != 1)}, before anything could be compared. {where}It became slower than it had "
        "been, or it hangs."
    )


# ---------------------------------------------------------------------------------------------------------
# Words


def size_of(rung: dict[str, Any]) -> str:
    """Say the size of the pictures."""
    return f"{rung['size']} x {rung['size']} pixels"


def duration(seconds: float) -> str:
    """Write a time so that it can be read.

    >>> duration(0.0123), duration(0.4), duration(12.34), duration(0.00004)
    ('12 ms', '400 ms', '12.3 s', '0.04 ms')
    """
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = 1000 * seconds
    return f"{milliseconds:.0f} ms" if milliseconds >= 9.95 else f"{milliseconds:.2g} ms"


def ratio(slower: float) -> str:
    """Say how many times slower or faster.

    >>> ratio(3.14), ratio(150.2), ratio(0.5), ratio(1.04)
    ('3.1 times slower', '150 times slower', '2 times faster', 'as fast')
    """
    if 0.9 <= slower <= 1.1:
        return "as fast"
    factor = max(slower, 1 / slower)
    return f"{factor:.0f} times {'slower' if slower > 1 else 'faster'}" if factor >= 10 else (
        f"{factor:.2g} times {'slower' if slower > 1 else 'faster'}"
    )  # fmt: skip


def _wrapped(text: str) -> list[str]:
    return [line for part in text.splitlines() for line in textwrap.wrap(part, WIDTH) or [""]]
