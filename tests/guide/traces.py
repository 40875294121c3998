"""The trace of a recorded run: what the player on the page steps through."""

import json
from typing import Any

from happened.recording import Recording

KEPT = ("kind", "name", "data", "id")
"""What is kept of a message: the rest of its metadata differs from run to run, or says no more."""


def trace_of(names: dict[str, Any]) -> str | None:
    """Return the steps of the run that a program's ``diagram`` draws, one a line, as JSON.

    They have the shape of `Recording.to_dicts`, without what the player does not read. Lines are
    left out, too: the player finds them in the program as the reader sees it.
    """
    recordings = [value for value in names.values() if isinstance(value, Recording)]
    for recording in recordings:
        if recording.diagram() == names.get("diagram"):
            steps = ",\n".join(json.dumps(kept(step)) for step in recording.to_dicts())
            return f"[\n{steps}\n]\n"
    return None


def kept(step: dict[str, Any]) -> dict[str, Any]:
    """Return what the player reads of a step."""
    return {
        "kind": step["kind"],
        "message": step["message"] and message(step["message"]),
        "sent_by": step["sent_by"],
        "handler": step["handler"] and {"name": step["handler"]["name"]},
        "aggregate": step["aggregate"],
        "events": [message(event) for event in step["events"]],
        "error": step["error"],
    }


def message(whole: dict[str, Any]) -> dict[str, Any]:
    """Return what the player reads of a message."""
    return {key: whole[key] for key in KEPT}
