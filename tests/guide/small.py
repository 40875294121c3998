"""A small guide on which the checks themselves are checked."""

from pathlib import Path

from tests.guide.made import Made, failures
from tests.guide.places import Guide
from tests.guide.programs import main, make_all
from tests.guide.tree import leftovers

PROGRAM = '''\
"""A shop that sells one book."""

# --8<-- [start:sell]
def sell(copies: int) -> int:
    if copies < 1:
        raise ValueError("sold out")
    return copies - 1  # (!)
# --8<-- [end:sell]


left = sell(3)
print("left:", left)
print(left * 2)
#> 4
diagram = f"flowchart LR\\n    shop -->|{left}| reader"
'''

SHOWN = {
    "section": '``` python\n--8<-- "ch01_shop/shop.py:sell"\n```\n',
    "whole": '```{ .python title="shop.py" hl_lines="1" }\n--8<-- "ch01_shop/shop.py"\n```\n',
    "output": '```text\n--8<-- "ch01_shop/shop.out"\n```\n',
    "diagram": '~~~ mermaid\n--8<-- "ch01_shop/shop.mmd"\n~~~\n',
}


class Small:
    """A small guide: one program and one page that shows all of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("docs_src/ch01_shop/shop.py", PROGRAM)
        self.page(*SHOWN.values())
        assert main(root) == 0

    @property
    def guide(self) -> Guide:
        return Guide(self.root)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def page(self, *blocks: str, name: str = "docs/shop.md") -> Path:
        return self.write(name, "# The shop\n\n" + "\n".join(blocks))

    def problems(self) -> list[str]:
        """Return everything that the tests would report."""
        found = Made()
        for made in make_all(self.guide):
            found.add(made)
        wrong = [problem for problem in failures(found, self.root) if "figures." not in problem]
        return wrong + leftovers(self.guide)

    def problem(self) -> str:
        """Return the one thing that is wrong."""
        found = self.problems()
        assert len(found) == 1, "\n".join(found)
        return found[0]
