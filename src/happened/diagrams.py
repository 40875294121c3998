"""Layer 7. Diagrams in Mermaid's notation, drawn from a registry or from a recorded run."""

from collections.abc import Sequence

from happened.hooks import Step

__all__ = ["sequence_diagram"]


def sequence_diagram(steps: Sequence[Step]) -> str:
    """Return a sequence diagram of recorded steps.

    Args:
        steps: what was recorded.
    """
    return "sequenceDiagram"
