"""Masks what differs from run to run, so that everything else can be compared.

Identifiers, addresses, numbers of processes and ports, and temporary names keep their identity: two
equal ones must stay equal, two different ones must stay different. Moments and durations do not:
whether two of them fall into the same microsecond is chance.
"""

import difflib
import re
from pathlib import Path

VARYING = re.compile(
    r"""
    (?P<id>(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f]))
  | (?P<time>\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|\ ?[+-]\d\d:?\d\d)?
           | datetime\.datetime\(\d+(?:,\ \d+){4,6}(?=[,)])
           | (?<![\d:])\d\d:\d\d:\d\d[.,]\d+)
  | (?P<pid>\bpid["']?\ ?[:=]?\ ?\d+\b)
  | (?P<port>(?:(?<=\b127\.0\.0\.1:)|(?<=\blocalhost:))\d{2,5}\b)
  | (?P<schema>\bguide_\w+_[0-9a-f]{8}\b)
  | (?P<duration>(?<![\w.])(?:\d+\.\d+\ ?(?:ns|us|µs|ms|s|seconds?)|\d+\ ?(?:ns|us|µs|ms))\b
           | \b(?:\w+_)?(?:duration|elapsed|took|seconds|ms)["']?[:=]\ ?\d+(?:\.\d+)?)
  | (?P<address>\b0x[0-9a-f]{6,16}\b)
  | (?P<path>(?:/[^\s/"':]+)*/happened-[a-z0-9_]{8}\b)
  | (?P<temporary>\btmp[a-z0-9_]{8}\b)
    """,
    re.VERBOSE,
)
"""What varies, by kind.

The harness names its scratch folders ``happened-`` and eight letters, and its schemas ``guide_``, a
word and eight digits. Durations are also what follows such a name in a log: ``"took": 0.3``.
"""

CHANCE = {"time", "duration"}
"""The kinds that are masked without their identity."""


def mask(text: str) -> str:
    """Return the text with everything that varies replaced, numbered by first appearance."""
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        kind = str(found.lastgroup)
        if kind in CHANCE:
            return f"<{kind}>"
        return names.setdefault(found[0], f"<{kind} {len(names) + 1}>")

    return VARYING.sub(name, text)


def stale(path: Path, text: str | None) -> bool:
    """Tell whether a file holds something else than this text; None says there should be none."""
    if text is None or not path.exists():
        return path.exists() or text is not None
    return mask(path.read_text(encoding="utf-8")) != mask(text)


def difference(old: str, new: str) -> tuple[int, str]:
    """Return the first line that differs, from 1, and the masked difference for a reader."""
    before, after = mask(old).splitlines(), mask(new).splitlines()
    lines = difflib.unified_diff(before, after, "written", "now", lineterm="", n=1)
    pairs = zip(before, after, strict=False)
    first = next(
        (n for n, (a, b) in enumerate(pairs, 1) if a != b), min(len(before), len(after)) + 1
    )
    return first, "\n".join(f"    {line}" for line in lines)
