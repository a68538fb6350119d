"""What check-data found, as text for a person and as plain numbers for a script."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minisegnet.data.checking.balance import Balance, measure
from minisegnet.data.checking.check import Checked
from minisegnet.data.checking.survey import Occurring, values_of
from minisegnet.data.finding import SEVERITIES, Finding
from minisegnet.metrics.report import aligned

MOST_FILES, MOST_VALUES = 12, 24  # that are named, unless all are asked for
EVERYTHING = 10**9


def as_text(checked: Checked, *, everything: bool = False) -> str:
    """Write what is there, and then what was found, the worst first."""
    parts = []
    if checked.layout is not None:
        parts += [
            "\n".join(_facts(checked)),
            "\n".join(_table(checked, EVERYTHING if everything else MOST_VALUES)),
        ]
    parts += [_told(finding, EVERYTHING if everything else MOST_FILES) for finding in checked.findings]
    parts.append(_verdict(checked))
    return "\n\n".join(part for part in parts if part)


def _facts(checked: Checked) -> list[str]:
    facts = as_dict(checked)
    numbers = ", ".join(f"{n} {split or 'undivided'}" for split, n in facts["pictures"].items())
    lines = [
        f"{checked.root}: layout {facts['layout']}, {len(checked.pairs)} pictures with masks ({numbers})"
    ]
    if sizes := facts["sizes"]:
        low, high = (" x ".join(map(str, sizes[end])) for end in ("smallest", "largest"))
        lines.append(
            f"sizes (H x W): {low}"
            if sizes["kinds"] == 1
            else f"sizes (H x W): {sizes['kinds']}, {low} to {high}"
        )
        told = [_kinds(facts[name]) for name in ("channels", "numbers")]
        lines.append(f"pictures: {'; '.join(told)}")
    return lines + [f"assumed: {note}" for note in checked.notes]


def _kinds(counted: Mapping[str, int]) -> str:
    """Name what all have in common, or say how many have what."""
    return (
        next(iter(counted))
        if len(counted) == 1
        else ", ".join(f"{n} with {key}" for key, n in counted.items())
    )


def _table(checked: Checked, most: int) -> list[str]:
    rows = _values(checked)
    if not rows:
        return []
    blended = [row for row in rows if row["value"] in checked.labels.blends]
    rows = [row for row in rows if row not in blended]
    kinds = list(rows[0].get("weights", {})) if rows else []
    lines = [["value", "class", "pixels", "share", "masks", *(f"weight: {kind}" for kind in kinds)]]
    for row in rows[:most]:
        weights = [f"{row['weights'][kind]:.3g}" if "weights" in row else "" for kind in kinds]
        share = f"{100 * row['share']:.2f} %"
        lines.append(
            [str(row["value"]), row["name"], f"{row['pixels']:,}", share, str(row["masks"]), *weights]
        )
    if blended:
        pixels, share = (sum(row[name] for row in blended) for name in ("pixels", "share"))
        told = [f"{len(blended)} others", "(made by averaging)", f"{pixels:,}", f"{100 * share:.2f} %", ""]
        lines.append(told + [""] * len(kinds))
    rest = [f"... and {len(rows) - most} more (--all shows them)"] * (len(rows) > most)
    return aligned(lines) + rest


def _told(finding: Finding, most: int) -> str:
    """Write a finding: how severe, what, and below it why and what to do."""
    lines = [f"{finding.severity.upper()}  {finding.headline(most)}"]
    lines += [f"  {line}" for part in (finding.why, finding.do) for line in part.splitlines() if part]
    return "\n".join(lines)


def _verdict(checked: Checked) -> str:
    numbers = [(len(checked.of(severity)), severity) for severity in SEVERITIES]
    if not checked.findings:
        return "Nothing is wrong."
    told = ", ".join(f"{n} {severity}{'s' * (n != 1)}" for n, severity in numbers if n)
    return f"{told}. Training would refuse this." if numbers[0][0] else f"{told}. Training can begin."


# ---------------------------------------------------------------------------------------------------------
# Numbers


def as_dict(checked: Checked) -> dict[str, Any]:
    """Return plain numbers, lists and dictionaries, for JSON."""
    splits = checked.layout.splits if checked.layout else {}
    sizes = sorted({pair.image.file.size for pair in checked.pairs if pair.image.file.size}, key=_area)
    return {
        "data": str(checked.root),
        "layout": checked.layout.kind if checked.layout else None,
        "pictures": {split: len(entries) for split, entries in splits.items()},
        "sizes": {"kinds": len(sizes), "smallest": list(sizes[0]), "largest": list(sizes[-1])}
        if sizes
        else None,
        "channels": _counted(f"{n} channel{'s' * (n != 1)}" for n in _of_images(checked, "channels")),
        "numbers": _counted(_of_images(checked, "numbers")),
        "values": _values(checked),
        "assumed": list(checked.notes),
        "findings": [finding.as_dict() for finding in checked.findings],
        "proposal": list(checked.labels.proposal),
        **{f"{severity}s": len(checked.of(severity)) for severity in SEVERITIES},
    }


def _area(size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    return size[0] * size[1], size


def _of_images(checked: Checked, what: str) -> list[Any]:
    return [value for pair in checked.pairs if (value := getattr(pair.image, what))]


def _counted(things: Any) -> dict[str, int]:
    listed = list(things)
    return {thing: listed.count(thing) for thing in sorted(set(listed))}


def _values(checked: Checked) -> list[dict[str, Any]]:
    """Return a row for each value in the masks: its class, how often it occurs, and the weights suggested for it."""
    found = values_of(checked.pairs)
    total = sum(there.pixels for there in found.values())
    classes = checked.labels.classes
    if classes is None:
        return [_row(v, _unnamed(checked, v), there, total) for v, there in found.items()]
    balance = measure([pair for pair in checked.pairs if pair.split in ("train", "")], classes)
    table, rows = classes.table(), []
    for value in sorted({*found, *classes.values}):
        there, label = found.get(value, Occurring(0, 0, 0)), int(table[value])
        name = (
            classes.names[label] if 0 <= label < len(classes.names) and value not in classes.ignored else None
        )
        weights = _weights(balance, label) if name is not None else dict.fromkeys(balance.weights, 0.0)
        rows.append({**_row(value, name or _unnamed(checked, value), there, total), "weights": weights})
    return rows


def _unnamed(checked: Checked, value: int) -> str:
    classes = checked.labels.classes
    if value in checked.labels.blends:
        return "(made by averaging)"
    return "(doesn't count)" if classes is not None and value in classes.ignored else "?"


def _row(value: int, name: str, there: Occurring, total: int) -> dict[str, Any]:
    return {
        "value": value,
        "name": name,
        "pixels": there.pixels,
        "share": there.pixels / max(total, 1),
        "masks": there.masks,
    }


def _weights(balance: Balance, label: int) -> Mapping[str, float]:
    return {kind: float(np.round(weights[label], 4)) for kind, weights in balance.weights.items()}
