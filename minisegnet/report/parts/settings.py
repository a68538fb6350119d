"""Which model it was: settings, normalisation, versions."""

from collections.abc import Mapping
from typing import Any

from minisegnet.report.markup import Html, count, tag


def section(numbers: dict[str, Any]) -> Html:
    """Return what is known of the model and of the measurement."""
    model, data = numbers["model"], numbers["data"]
    normalisation = model["normalisation"]
    facts = {
        "Model": model["name"],
        "Built with": _listed(model["options"]),
        "Parameters": count(model["parameters"]),
        "Checkpoint": "" if model["step"] is None else f"step {count(model['step'])}",
        "Normalisation": f"mean {_decimals(normalisation['mean'])}, deviation {_decimals(normalisation['std'])} "
        "(per channel, of pictures as numbers from 0 to 1)",
        "Trained with": _listed(model["settings"]),
        "Measured with": _listed({"backend": model["backend"], **data["told"]}),
        "Labels that don’t count": "none" if data["ignore_index"] is None else str(data["ignore_index"]),
        "minisegnet": model["version"],
    }
    rows = [tag("div", tag("dt", term), tag("dd", fact)) for term, fact in facts.items() if fact]
    return tag(
        "section",
        tag("h2", "Model and settings", id="settings"),
        tag("dl", *rows, class_="facts"),
        aria_labelledby="settings",
    )


def _decimals(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _listed(values: Mapping[str, Any]) -> str:
    """Write settings in one line.

    >>> _listed({"loss": "ce", "size": [96, 96], "options": {"norm": None}})
    'loss ce; size 96 × 96; options: norm none'
    """
    return "; ".join(_one(name.replace("_", " "), value) for name, value in values.items() if value != {})


def _one(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{name}: {', '.join(_one(str(key), inner) for key, inner in value.items())}"
    if isinstance(value, list | tuple):
        return f"{name} {' × '.join(map(str, value))}"
    if isinstance(value, float):
        return f"{name} {value:g}"
    return f"{name} {'none' if value is None else str(value)}"
