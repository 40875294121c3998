"""Format all Python code; the guide's programs keep the comments that show what they print.

Such a comment begins with `#>`, which ruff would write as `# >`.

Example:
    python -m tools.format
    python -m tools.format --check
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def formatted(path: Path, text: str) -> str:
    """The text of a program, formatted.

    Raises:
        ValueError: ruff cannot read it.
    """
    marked = re.sub(r"^( *#)>", r"\1:>", text, flags=re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", path, "-"],
        cwd=ROOT,
        input=marked,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return re.sub(r"^( *#):>", r"\1>", done.stdout, flags=re.MULTILINE)


def format_programs(root: Path, *, check: bool) -> list[str]:
    """Format the programs below a folder, or only say which ones are not formatted."""
    problems: list[str] = []
    for path in sorted(root.glob("**/*.py")):
        text = path.read_text(encoding="utf-8")
        try:
            new = formatted(path, text)
        except ValueError as error:
            problems.append(f"{path}: {error}")
            continue
        if new != text and check:
            problems.append(f"{path}: not formatted; `python -m tools.format` does it")
        elif new != text:
            path.write_text(new, encoding="utf-8")
    return problems


def main(*arguments: str) -> None:
    """Format everything, or check it; exit with 1 where something is left to do."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--quiet", *arguments, "."], cwd=ROOT, check=False
    )
    problems = format_programs(ROOT / "docs_src", check="--check" in arguments)
    print(*problems, sep="\n", end="\n" if problems else "")
    sys.exit(1 if done.returncode or problems else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
