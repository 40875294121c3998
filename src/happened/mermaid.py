"""Layer 7. Mermaid's notation: labels that hold any text, and flowcharts."""

import re
import unicodedata
from typing import Literal

__all__ = ["Direction", "Flowchart", "Shape", "label"]

Direction = Literal["TB", "LR"]
"""Which way a flowchart grows: from top to bottom, or from left to right."""

Shape = Literal["command", "handler", "aggregate", "event"]
"""What a node stands for. It is also the node's class, which a page can give a colour."""

_SHAPES: dict[Shape, str] = {
    "command": '[/"{}"/]',
    "handler": '["{}"]',
    "aggregate": '[["{}"]]',
    "event": '(["{}"])',
}

_LONGEST = 120

# Letters, digits, spaces and commas stay, and so do dots and underscores between letters or digits,
# and what is beyond ASCII.
_SPECIAL = re.compile(r"(?<![^\W_])[_.]|[_.](?![^\W_])|(?<=www)\.|[!-+\-/:-@\[-^`{-~]")
_MARKS = re.compile("ﬂ(?=°)|¶(?=ß)")  # pairs that Mermaid takes for its own; parted by U+200C
_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[_.])")


def label(text: str, *, width: int = 18) -> str:
    """Return a text in such a form that Mermaid shows it as it is, whatever it holds.

    White space becomes single spaces, and what no screen can show becomes U+FFFD. A long word
    is broken into lines at dots, underscores and capital letters, and a text of more than 120
    characters is cut off. The result stands between double quotes in a flowchart, and alone in a
    sequence diagram.

    Args:
        text: any text, such as the name of a class.
        width: how many characters a line has at most; 18 by default, which keeps drawings narrow.

    Example:
        >>> from happened.mermaid import label
        >>> label("Stock.reduce"), label('say "end";')
        ('Stock.reduce', 'say #34;end#34;#59;')

    Source:
        Mermaid's documentation, "Entity codes to escape characters": ``#34;`` is the character
        with the decimal number 34.
    """
    shown = "".join(map(_visible, " ".join(text.split())))
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST - 1]}…"
    lines = "<br/>".join(_escaped(line) for line in _lines(shown, width))
    nothing_seen = all(unicodedata.category(character)[0] in "MC" for character in shown)
    return f"#160;{lines}" if nothing_seen else lines


def _visible(character: str) -> str:
    """Joiners stay, which emoji and some scripts need; other signs without a shape do not."""
    has_shape = unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Cn")
    return character if has_shape or character in "\u200c\u200d" else "\ufffd"


def _escaped(text: str) -> str:
    parted = _MARKS.sub("\\g<0>\u200c", text)
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", parted)


def _lines(text: str, width: int) -> list[str]:
    """Break a text into lines between words, and inside of words that are longer than a line."""
    lines = [""]
    for word in text.split(" "):
        parts = _WORD_ENDS.split(word) if len(word) > width else [word]
        gap = " " if lines[-1] else ""
        for part in parts:
            if lines[-1] and len(lines[-1] + gap + part) > width:
                lines.append("")
                gap = ""
            lines[-1] += gap + part
            gap = ""
            while len(lines[-1]) > width:
                lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return lines


class Flowchart:
    """A flowchart's nodes and arrows, each once, in the order in which they were first named.

    Example:
        >>> from happened.mermaid import Flowchart
        >>> flow = Flowchart()
        >>> flow.node("event", "BookAdded", "BookAdded")
        >>> flow.node("handler", "print_slip", "print_slip")
        >>> flow.arrow("BookAdded", "print_slip")
        >>> print(flow.text("LR"))
        flowchart LR
            e1(["BookAdded"]):::event
            h1["print_slip"]:::handler
            e1 --> h1
    """

    def __init__(self) -> None:
        self._ids: dict[object, str] = {}
        self._boxes: dict[object, tuple[str, list[str]]] = {None: ("", [])}
        self._arrows: dict[str, None] = {}

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self._ids)

    def box(self, key: object, title: str) -> None:
        """Add a box around nodes, unless there is one with this key.

        Args:
            key: what it is known by.
            title: what it shows above its nodes.
        """
        self._boxes.setdefault(key, (title, []))

    def node(self, shape: Shape, key: object, text: str, *, box: object = None) -> None:
        """Add a node, unless there is one with this key.

        Args:
            shape: what it stands for.
            key: what it is known by.
            text: what it shows.
            box: the key of the box around it; none by default.
        """
        if key not in self._ids:
            number = 1 + sum(known.startswith(shape[0]) for known in self._ids.values())
            self._ids[key] = f"{shape[0]}{number}"
            line = f"{self._ids[key]}{_SHAPES[shape].format(label(text))}:::{shape}"
            self._boxes[box][1].append(line)

    def arrow(self, start: object, end: object, text: str = "") -> None:
        """Add an arrow, unless it is there.

        Args:
            start: the key of a node.
            end: the key of another.
            text: what stands beside it; nothing by default.
        """
        beside = f'|"{label(text)}"|' if text else ""
        self._arrows[f"{self._ids[start]} -->{beside} {self._ids[end]}"] = None

    def text(self, direction: Direction) -> str:
        """Return the flowchart in Mermaid's notation.

        Args:
            direction: which way it grows.
        """
        lines = [f"flowchart {direction}"]
        for number, (key, (title, nodes)) in enumerate(self._boxes.items()):
            if key is not None:
                lines.append(f'    subgraph b{number}["{label(title, width=_LONGEST)}"]')
                lines += [f"        {line}" for line in (f"direction {direction}", *nodes)]
                lines.append("    end")
            else:
                lines += [f"    {node}" for node in nodes]
        return "\n".join([*lines, *(f"    {arrow}" for arrow in self._arrows)])
