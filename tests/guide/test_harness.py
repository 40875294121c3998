"""The checks of pages are checked: one made wrong on purpose is caught, one made right passes."""

from collections.abc import Callable

import pytest

from tests.guide.made import write
from tests.guide.pages import make_page
from tests.guide.programs import main
from tests.guide.small import PROGRAM, SHOWN, Small


def test_a_right_guide_passes_and_is_not_written_again(small: Small) -> None:
    before = {path: path.read_bytes() for path in small.root.rglob("*") if path.is_file()}
    assert small.problems() == []
    assert main(small.root) == 0
    assert {path: path.read_bytes() for path in small.root.rglob("*") if path.is_file()} == before


def test_every_fence_that_is_right_passes(small: Small) -> None:
    small.write("docs_src/ch01_shop/shop.toml", "copies = 3\n")
    small.write(
        "docs_src/ch01_shop/loads.py",
        'from pathlib import Path\n\nprint(Path("shop.toml").read_text(), end="")\n',
    )
    small.write("docs_src/ch01_shop/session.console", "$ python shop.py\n\n$ cat shop.toml\n")
    small.write("docs_src/ch01_shop/session.pycon", ">>> from shop import sell\n>>> sell(2)\n")
    small.page(
        *SHOWN.values(),
        '``` toml\n--8<-- "ch01_shop/shop.toml"\n```\n',
        '``` python\n--8<-- "ch01_shop/loads.py"\n```\n',
        '``` text\n--8<-- "ch01_shop/loads.out"\n```\n',
        '!!! note\n\n    ``` console\n    --8<-- "ch01_shop/session.console"\n    ```\n',
        '=== "Session"\n\n    ``` pycon\n    --8<-- "ch01_shop/session.pycon"\n    ```\n',
        "- In a list\n\n    ``` python\n    print(sell(2))\n    ```\n",
        "``` pycon\n>>> sell(0)\n```\n",
        "``` console\n$ echo $((1 + 1)) >&2\n$ (exit 3)\n$ echo $?\n```\n",
        "``` mermaid\nflowchart LR\n    a --> b\n```\n",
    )
    assert main(small.root) == 0
    assert small.problems() == []
    assert "    print(sell(2))\n    #> 1\n" in small.read("docs/shop.md")
    assert ">>> sell(0)\nTraceback (most recent call last):\n    ...\nValueError: sold out\n" in (
        small.read("docs/shop.md")
    )
    assert "$ echo $((1 + 1)) >&2\n2\n$ (exit 3)\n$ echo $?\n3\n" in small.read("docs/shop.md")
    assert small.read("docs_src/ch01_shop/session.pycon").endswith(">>> sell(2)\n1\n")
    assert small.read("docs_src/ch01_shop/session.console") == (
        "$ python shop.py\nleft: 2\n4\n\n$ cat shop.toml\ncopies = 3\n"
    )


WRONG = {
    "a wrong print": ("```python\nprint(sell(2))\n#> 7\n```", ":21: is stale"),
    "a print without its comment": ("```python\nprint(sell(2))\n```", ":21: is stale"),
    "a comment below no print": ("```python\nx = 1\n#> 7\n```", ":21: this #> comment"),
    "a raising block": ("```python\nx = 1\nsell(0)\n```", ":21: raised ValueError: sold out"),
    "a block that is no Python": ("```python\nx = (\n```", ":20: is no Python"),
    "a wrong answer": ("```pycon\n>>> sell(2)\n7\n```", ":21: is stale"),
    "a wrong error": (
        "```pycon\n>>> sell(0)\nTraceback (most recent call last):\n    ...\nKeyError: 1\n```",
        ":23: is stale",
    ),
    "an answer before its input": ("```pycon\n7\n```", ":20: expected '>>>', found '7'"),
    "an input that is not complete": ("```pycon\n>>> sell(\n```", ":20: is no complete Python"),
    "a wrong shell output": ("```console\n$ echo 1\n2\n```", ":21: is stale"),
    "a shell that ends": ("```console\n$ exit 1\n```", ":20: the shell ended at '$ exit 1'"),
    "a command that fails now": (
        '```console\n$ python -c "1 / 0"\n```',
        ":21: a command fails now: ZeroDivisionError",
    ),
    "an output typed by hand": ("```text\nleft: 2\n```", ":19: no rule covers this fence: ```text"),
    "data typed by hand": ("```toml\na = 1\n```", ":19: no rule covers this fence: ```toml"),
    "an unknown language": ("```rust\nfn\n```", ":19: no rule covers this fence: ```rust typed"),
    "no language": ("```\nx\n```", ":19: no rule covers this fence"),
    "an unknown language, indented": ("??? x\n\n    ~~~js\n    x\n    ~~~", ":21: no rule covers"),
    "snippets and typed lines": (
        '```python\n--8<-- "ch01_shop/shop.py:sell"\nsell(1)\n```',
        ":19: no rule covers this fence: ```python mixes",
    ),
    "a snippet of another kind": (
        '```text\n--8<-- "ch01_shop/shop.py"\n```',
        ":19: no rule covers this fence: ```text with ch01_shop/shop.py",
    ),
    "a snippet directive in blocks": (
        "```python\n--8<--\nch01_shop/shop.py\n--8<--\n```",
        ":19: no rule covers",
    ),
    "a missing file": (
        '```python\n--8<-- "ch01_shop/no.py"\n```',
        ":19: ch01_shop/no.py: there is",
    ),
    "a missing section": (
        '```python\n--8<-- "ch01_shop/shop.py:no"\n```',
        ":19: ch01_shop/shop.py: there is no section 'no'",
    ),
    "lines by number": (
        '```python\n--8<-- "ch01_shop/shop.py:1:3"\n```',
        ":19: ch01_shop/shop.py: there is no section '1:3'",
    ),
    "a fence from outside": (
        '--8<-- "ch01_shop/shop.py"',
        ":19: ch01_shop/shop.py: outside a fence",
    ),
    "code without a fence": ("Text\n\n    x = 1", ":1: 1 code blocks without a fence"),
    "code in HTML": ("<pre>x = 1</pre>", ":1: 1 code blocks without a fence"),
}


@pytest.mark.parametrize("block, expected", WRONG.values(), ids=WRONG)
def test_a_wrong_page_is_caught_by_name_and_line(small: Small, block: str, expected: str) -> None:
    small.page(*SHOWN.values(), block)
    assert small.problem().startswith(f"docs/shop.md{expected}")


def test_a_fence_that_the_site_does_not_see_is_caught(small: Small) -> None:
    small.page(*SHOWN.values(), "``` python {bad\nprint(1)\n#> 1\n```\n")
    assert (
        small.problem() == "docs/shop.md:1: the site shows 4 fences here, the page seems to have 5"
    )


def test_a_fence_that_is_never_closed_is_caught(small: Small) -> None:
    small.page(*SHOWN.values(), "``` python\nprint(1)\n")
    assert (
        "docs/shop.md:19: no rule covers this fence: ```python is never closed" in small.problems()
    )


def test_blocks_find_what_stands_above_them_and_only_that(small: Small) -> None:
    small.page("```python\nsell(1)\n```\n", *SHOWN.values(), "```python\nsell(1)\n```\n")
    assert small.problem().startswith("docs/shop.md:4: raised NameError: name 'sell'")


def test_what_has_problems_is_not_written(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    path = small.page(*SHOWN.values(), "```python\nprint(1)\nsell(0)\n```\n")
    text = path.read_text(encoding="utf-8")
    assert main(small.root) == 1
    assert path.read_text(encoding="utf-8") == text
    assert "docs/shop.md:21: raised ValueError: sold out" in capsys.readouterr().err


def test_only_the_named_parts_are_made(small: Small) -> None:
    small.write("docs_src/ch01_shop/shop.out", "")
    wrong = small.page("```python\nprint(1)\n```\n", name="docs/other.md")
    assert main(small.root, "ch01_shop") == 0
    assert small.read("docs_src/ch01_shop/shop.out") == "left: 2\n4\n"
    assert "#> 1" not in wrong.read_text(encoding="utf-8")


def test_a_page_that_somebody_changed_meanwhile_is_not_written(small: Small) -> None:
    path = small.page("```python\nprint(1)\n```\n")
    made = make_page(small.guide, path)
    path.write_text("# Mine\n", encoding="utf-8")
    assert write(made) == []
    assert path.read_text(encoding="utf-8") == "# Mine\n"


def test_only_what_differs_beyond_the_masks_is_written(small: Small) -> None:
    path = small.page(*SHOWN.values(), "```pycon\n>>> import uuid\n>>> uuid.uuid4()\n```\n")
    assert main(small.root) == 0
    text = path.read_text(encoding="utf-8")
    assert write(make_page(small.guide, path)) == []
    assert path.read_text(encoding="utf-8") == text


@pytest.fixture
def readme(small: Small) -> Callable[[str, str], str]:
    small.write("docs_src/ch01_first_event/first_event.py", PROGRAM.replace("shop", "store"))
    shows = '```python\n--8<-- "ch01_first_event/first_event.py:sell"\n```\n'
    drawn = '```mermaid\n--8<-- "ch01_first_event/first_event.mmd"\n```\n'
    small.page(*SHOWN.values(), shows, drawn)

    def written(program: str, output: str) -> str:
        small.write("README.md", f"# Shop\n\n```python\n{program}```\n\n```text\n{output}```\n")
        return "\n".join(small.problems())

    small.write("README.md", "# Shop\n\n```python\nx\n```\n\n```text\nx\n```\n")
    assert main(small.root) == 0
    assert small.problems() == []
    assert "(!)" not in small.read("README.md")
    assert "[start:sell]" not in small.read("README.md")
    return written


def test_the_readme_holds_copies_that_are_compared(readme: Callable[[str, str], str]) -> None:
    assert "README.md:4: is stale" in readme("print(1)\n", "left: 2\n4\n")


def test_a_program_with_the_name_of_another_module_is_caught(small: Small) -> None:
    small.write("docs_src/ch01_shop/json.py", "copies = 1\n")
    small.page(
        *SHOWN.values(),
        '```python\n--8<-- "ch01_shop/json.py"\n```\n',
        "```python\nx = 1\n```\n",
    )
    expected = "docs/shop.md:1: another module is called json: give json.py another name"
    assert small.problem() == expected
