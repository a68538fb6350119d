"""Messages between the marker and the learner's process: JSON, with the arrays beside it in an npz. No pickles.

A message is its length in 8 bytes, then that many bytes of npz. The JSON lies in it as an array of bytes.
"""

import io
import json
from typing import IO, Any

import numpy as np

from minisegnet.marking.calling import LARGEST, Number, Strange

LONGEST = 2**28  # bytes of one message


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Write a message."""
    arrays: list[Any] = []
    text = json.dumps(_told(message, arrays)).encode()
    buffer = io.BytesIO()
    parts: dict[str, Any] = {f"a{i}": array for i, array in enumerate(arrays)}
    np.savez(buffer, message=np.frombuffer(text, np.uint8), **parts)
    data = buffer.getvalue()
    stream.write(len(data).to_bytes(8, "little") + data)
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """Read a message; None where the other side has gone, or writes what is none."""
    head = stream.read(8)
    if len(head) < 8 or int.from_bytes(head, "little") > LONGEST:
        return None
    data = stream.read(int.from_bytes(head, "little"))
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            message = json.loads(file["message"].tobytes())
            found = _heard(message, file)
    except (ValueError, KeyError, OSError, EOFError, json.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _told(value: Any, arrays: list[Any]) -> Any:
    match value:
        case np.ndarray() if value.nbytes > LARGEST:
            return {"is": "strange", "kind": f"array of shape {value.shape}", "text": ""}
        case np.ndarray():
            arrays.append(value)
            return {"is": "array", "number": len(arrays) - 1}
        case Number():
            arrays.append(value.value)
            return {"is": "number", "number": len(arrays) - 1, "kind": value.kind}
        case Strange():
            return {"is": "strange", "kind": value.kind, "text": value.text}
        case dict():
            return {"is": "dict", "items": {name: _told(v, arrays) for name, v in value.items()}}
        case tuple():
            return {"is": "tuple", "items": [_told(v, arrays) for v in value]}
        case list():
            return [_told(v, arrays) for v in value]
        case np.generic():
            return value.item()
    return value


def _heard(value: Any, file: Any) -> Any:
    if isinstance(value, list):
        return [_heard(v, file) for v in value]
    if not isinstance(value, dict):
        return value
    match value["is"]:
        case "array":
            return file[f"a{value['number']}"]
        case "number":
            return Number(file[f"a{value['number']}"], value["kind"])
        case "strange":
            return Strange(value["kind"], value["text"])
        case "tuple":
            return tuple(_heard(v, file) for v in value["items"])
    return {name: _heard(v, file) for name, v in value["items"].items()}
