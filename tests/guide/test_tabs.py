"""Content tabs: what lies in them is checked, shown and reached like everything else."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.guide.browser import violations, wider_than_the_window, window
from tests.guide.programs import main
from tests.guide.site import Served, Site, build, serve
from tests.guide.small import SHOWN, Small

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"

TAB = """\
=== "{title}"

    The books are kept in {title}.

    ``` python
    --8<-- "{path}.py:books"
    ```

    ``` text
    --8<-- "{path}.out"
    ```

"""
TITLES = ("Memory", "SQLite", "PostgreSQL")
STORES = '# --8<-- [start:books]\nplace = "{0}"\n# --8<-- [end:books]\nprint("kept in", place)\n'


def tabs(folder: str) -> str:
    return "".join(TAB.format(title=title, path=f"{folder}{title.lower()}") for title in TITLES)


@pytest.fixture
def three(small: Small) -> Small:
    """A small guide with one program on three storages, in tabs."""
    for title in TITLES:
        small.write(f"docs_src/ch01_shop/{title.lower()}.py", STORES.format(title))
    small.page(*SHOWN.values(), tabs("ch01_shop/"))
    assert main(small.root) == 0
    return small


def test_every_fence_in_every_tab_is_checked(three: Small) -> None:
    assert three.problems() == []
    assert three.read("docs_src/ch01_shop/sqlite.out") == "kept in SQLite\n"
    three.write("docs_src/ch01_shop/sqlite.out", "kept in memory\n")
    assert three.problem().startswith("docs_src/ch01_shop/sqlite.out:1: is stale")


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ("sqlite.py:books", "sqlite.py:shelf", "ch01_shop/sqlite.py: there is no section 'shelf'"),
        ('--8<-- "ch01_shop/postgresql.out"', "kept", "no rule covers this fence: ```text typed"),
    ],
    ids=["a section", "an output"],
)
def test_what_is_wrong_in_a_tab_is_caught(three: Small, old: str, new: str, expected: str) -> None:
    three.page(*SHOWN.values(), tabs("ch01_shop/").replace(old, new))
    assert any(expected in problem for problem in three.problems())


@pytest.fixture(scope="module")
def tabbed(tmp_path_factory: pytest.TempPathFactory, small_site_in: Callable[[Path], Path]) -> Site:
    folder = small_site_in(tmp_path_factory.mktemp("tabs"))
    for title in TITLES:
        (folder / f"docs_src/{title.lower()}.py").write_text(STORES.format(title))
        (folder / f"docs_src/{title.lower()}.out").write_text(f"kept in {title}\n")
    description = "description: One program on three storages, in tabs.\n"
    text = f"---\n{description}---\n\n# Tabs\n\n{tabs('')}\n## More\n\n{tabs('')}"
    (folder / "docs/index.md").write_text(text, encoding="utf-8")
    made = build(folder, folder / "site")
    assert made.returncode == 0, made.stderr
    return Site(folder / "site")


@pytest.fixture(scope="module")
def served(tabbed: Site) -> Iterator[Served]:
    with serve(tabbed) as running:
        yield running


pytestmark = pytest.mark.xdist_group("tabs")


def test_the_page_and_its_copy_hold_every_tab(tabbed: Site) -> None:
    (page,) = tabbed.pages.values()
    shown = [code for title in TITLES for code in (f'place = "{title}"\n', f"kept in {title}\n")]
    assert page.code == shown * 2
    copy = (tabbed.folder / "index.md").read_text(encoding="utf-8")
    for title in TITLES:
        block = f'=== "{title}"\n\n    The books are kept in {title}.\n\n    ``` python\n    place'
        assert copy.count(block) == 2
    assert "--8<--" not in copy


def visible(page: Page) -> list[str]:
    """The words of the tabs that can be seen, in the order of the page."""
    found = page.evaluate(
        "() => [...document.querySelectorAll('.tabbed-block > p')]"
        ".filter((one) => one.checkVisibility()).map((one) => one.textContent)"
    )
    return [re.sub(r"The books are kept in (\w+)\.", r"\1", text) for text in found]


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_tabs_are_changed_by_pointer_and_keyboard_all_at_once(
    chromium: Browser, served: Served, size: str
) -> None:
    with window(chromium, served.url, size) as (page, seen):
        page.goto(served.url)
        page.wait_for_load_state("networkidle")
        assert visible(page) == ["Memory", "Memory"]
        page.locator(".tabbed-labels label").nth(1).click()
        page.wait_for_function("() => document.querySelectorAll('.tabbed-set input')[4].checked")
        assert visible(page) == ["SQLite", "SQLite"]
        assert violations(page, AXE) == []
        assert not wider_than_the_window(page)
        page.locator(".tabbed-set input").nth(1).focus()
        page.keyboard.press("ArrowRight")
        assert visible(page)[0] == "PostgreSQL"
        focused = page.locator(".tabbed-labels label").nth(2)
        outline = focused.evaluate("label => getComputedStyle(label).outlineStyle")
        assert outline != "none", "nobody sees which tab has the focus"
        assert seen.problems() == []


def test_tabs_work_without_scripts(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url, java_script_enabled=False) as (page, seen):
        page.goto(served.url)
        blocks = page.locator(".tabbed-set").first.locator(".tabbed-block")
        assert [block.is_visible() for block in blocks.all()] == [True, False, False]
        page.locator(".tabbed-labels label").nth(2).click()
        assert [block.is_visible() for block in blocks.all()] == [False, False, True]
        assert seen.problems() == []


def test_on_paper_every_tab_is_there_below_its_name(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url) as (page, _):
        page.goto(served.url)
        page.wait_for_load_state("networkidle")
        page.emulate_media(media="print")
        order = page.evaluate(
            "() => [...document.querySelector('.tabbed-set')"
            ".querySelectorAll('.tabbed-labels label, .tabbed-block')]"
            ".filter((one) => one.checkVisibility())"
            ".map((one) => [(one.firstElementChild ?? one).getBoundingClientRect().top,"
            " one.tagName, one.textContent.match(/Memory|SQLite|Post/)[0]])"
        )
        names = [(tag, text) for _, tag, text in sorted(order)]
        expected = [
            (tag, name) for name in ("Memory", "SQLite", "Post") for tag in ("LABEL", "DIV")
        ]
        assert names == expected
