"""The built site: its links, what it loads, its Markdown copies, and how its build fails."""

import inspect
import re
from html import unescape
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import urlopen

import pytest

from happened import Domain
from tests.guide.site import Site, build, serve

ROOT = Path(__file__).parents[2]
MARKS = re.compile(r"#\s*\(!\)|--8<--|#\s*(?:noqa|type:\s*ignore|pyright:|ruff:|needs:)")

pytestmark = pytest.mark.xdist_group("site")


def test_every_page_has_its_own_description_and_title(site: Site) -> None:
    said: dict[str, str] = {}
    for address, page in site.pages.items():
        description = page.meta.get("description", "")
        assert len(description) >= 30, f"{address} has no description worth the name"
        assert description not in said, f"{address} and {said.get(description)} say the same"
        said[description] = address


def test_no_page_loads_anything_from_another_host(site: Site) -> None:
    foreign = [
        f"{address} loads {load}"
        for address, page in site.pages.items()
        for load in page.loads
        if site.target(address, load) is None and not load.startswith("data:")
    ]
    for style in site.folder.rglob("*.css"):
        loads = re.findall(
            r"(?:url\(|@import\s)\s*[\"']?((?:https?:)?//[^\"')]+)", style.read_text()
        )
        foreign += [f"{style.name} loads {load}" for load in loads]
    for script in (site.folder / "scripts").glob("*.js"):
        foreign += [
            f"{script.name} names {url}" for url in re.findall(r"https?://\S+", script.read_text())
        ]
    assert foreign == []


def test_every_link_leads_somewhere(site: Site) -> None:
    broken = []
    for address, page in site.pages.items():
        for link in [*page.links, *page.loads]:
            target = site.target(address, link)
            if target is None or link.startswith("data:"):
                continue
            fragment = urlsplit(link).fragment
            if target.strip("/") == "" or target.endswith("/"):
                other = site.pages.get(target.lstrip("/"))
                if other is None or (fragment and fragment not in other.ids):
                    broken.append(f"{address or 'the home page'}: {link}")
            elif not (site.folder / target).is_file():
                broken.append(f"{address or 'the home page'}: {link}")
    assert broken == []


def test_no_page_has_an_anchor_twice(site: Site) -> None:
    for address, page in site.pages.items():
        assert len(page.ids) == len(set(page.ids)), (
            f"{address}: {[name for name in page.ids if page.ids.count(name) > 1]}"
        )


def test_no_address_on_a_page_starts_at_the_root_of_the_host(site: Site) -> None:
    for address, page in site.pages.items():
        rooted = [link for link in [*page.links, *page.loads] if link.startswith("/")]
        assert rooted == [], f"{address}: {rooted}"


@pytest.mark.parametrize("base", ["/", "/guides/of/ours/"])
def test_the_site_works_below_a_base_path(site: Site, base: str) -> None:
    with serve(site, base) as served:
        wanted = {urljoin(served.url, address) for address in site.pages}
        for address, page in site.pages.items():
            here = urljoin(served.url, address)
            local = [link for link in [*page.links, *page.loads] if site.target(address, link)]
            wanted |= {urljoin(here, link).partition("#")[0] for link in local}
        for url in sorted(wanted):
            assert url.startswith(served.url), url
            with urlopen(url, timeout=60) as answer:
                assert answer.status == 200
        assert served.refused == []


def test_no_mark_for_tools_is_shown(site: Site) -> None:
    shown = [
        f"{address}: {code}"
        for address, page in site.pages.items()
        for code in page.code
        if MARKS.search(code)
    ]
    assert shown == []


def test_what_is_returned_is_one_thing_however_long_its_text(site: Site) -> None:
    lists = re.compile(r"(?:Returns|Yields):</span></p>\s*<ul>(.*?)</ul>", re.DOTALL)
    found = [
        (address, each.count("<li"))
        for address, page in site.pages.items()
        for each in lists.findall(page.html)
    ]
    assert len(found) > 50
    assert [one for one in found if one[1] != 1] == []


def test_signatures_have_values_and_no_private_names(site: Site) -> None:
    pages = {name: page for name, page in site.pages.items() if name.startswith("reference/api/")}
    assert len(pages) >= 10
    private = re.compile(r"(?<![\w.\"])_[a-zA-Z]\w*")
    for address, page in pages.items():
        text = re.sub(r'<div class="language-pycon.*?</div>', "", page.html, flags=re.DOTALL)
        text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
        assert private.findall(unescape(re.sub("<[^>]+>", "", text))) == [], address
    server, fields = pages["reference/api/server/"].code, pages["reference/api/fields/"].code
    assert any("poll: float = 1.0,\n    grace: float = 60.0," in code for code in server)
    assert any("asks: bool = False,\n)" in code for code in server)
    (string,) = (code for code in fields if code.startswith("String("))
    assert "default: Any = ...," in string
    assert "choices: type[Enum] | Iterable[Any] | None = None," in string
    assert "validators: Iterable[Callable[[Any], object]] = ()," in string


def test_llms_txt_lists_every_page_with_its_description(site: Site) -> None:
    text = (site.folder / "llms.txt").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^- \[[^\]]+\]\(([^)]+)\): (.+)$", text, re.MULTILINE))
    assert listed == {
        f"{address}index.md": page.meta["description"].replace("&amp;", "&")
        for address, page in site.pages.items()
    }


def test_every_page_has_a_markdown_copy_with_its_snippets_filled_in(site: Site) -> None:
    for address, page in site.pages.items():
        assert page.markdown == ["index.md"], f"{address} does not name its copy"
        copy = (site.folder / address / "index.md").read_text(encoding="utf-8")
        assert not MARKS.search(copy), f"{address}index.md: {MARKS.search(copy)}"
        assert re.search(r"^# \S", copy, re.MULTILINE), f"{address}index.md has no heading"
        for link in re.findall(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)", copy):
            target = site.target(address, link)
            assert target is None or (site.folder / target).is_file(), f"{address}index.md: {link}"


def test_a_markdown_copy_holds_the_program(site: Site) -> None:
    copy = (site.folder / "building-blocks/first-event/index.md").read_text(encoding="utf-8")
    printed = (ROOT / "docs_src/ch01_first_event/first_event.out").read_text(encoding="utf-8")
    assert "class Book(Aggregate):" in copy
    assert printed.strip() in copy


def test_a_markdown_copy_describes_what_the_page_describes(site: Site) -> None:
    copy = (site.folder / "reference/api/domain/index.md").read_text(encoding="utf-8")
    said = inspect.cleandoc(str(Domain.process.__doc__)).partition("\n\nArgs:")[0]
    heading = "### `Domain.process`\n\n```python\ndef process(command: Command) -> Any\n```\n\n"
    assert f"{heading}{said}\n\nParameters:\n\n- `command` (`Command`): " in copy
    assert "async def aprocess(command: Command) -> Any\n" in copy
    assert "def aggregate(*, stream_category: str | None = None) -> Callable[[T], T]\n" in copy
    assert "`Domain._" not in copy
    listed = (site.folder / "reference/api/index.md").read_text(encoding="utf-8")
    assert "[`Domain`](domain/index.md)" in listed


def test_no_markdown_copy_has_a_directive_for_a_description(site: Site) -> None:
    for address in site.pages:
        copy = (site.folder / address / "index.md").read_text(encoding="utf-8")
        prose = re.sub(r"^([ ]*)(```+).*?^\1\2[ ]*$", "", copy, flags=re.DOTALL | re.MULTILINE)
        assert not re.search(r"^:::|\]\[happened", prose, re.MULTILINE), f"{address}index.md"


def test_a_page_names_no_search_index_that_it_would_load_at_once(site: Site) -> None:
    early = (site.folder / "search/search_index.json").read_text(encoding="utf-8")
    late = (site.folder / "search/index.json").read_text(encoding="utf-8")
    assert len(early) < 500
    assert "CopiesReceived" in late


def page(
    folder: Path, body: str, description: str = "description: A page to be made wrong.\n"
) -> None:
    text = f"---\n{description}---\n\n# A page\n\n{body}\n"
    (folder / "docs/index.md").write_text(text, encoding="utf-8")


def test_marked_lines_are_highlighted_and_marks_are_not_shown(small_site: Path) -> None:
    page(
        small_site,
        '```python title="shelf.py"\n--8<-- "shelf.py"\n```\n\n1.  Three of them.\n\n'
        '??? note\n\n    ```python\n    --8<-- "shelf.py:books"\n    ```\n',
    )
    made = build(small_site, small_site / "site")
    assert made.returncode == 0, made.stderr
    (shown,) = Site(small_site / "site").pages.values()
    books = "books = 1\nshelves = sum(\n    [1],\n)\nmore = 2\ncopies = 3"
    assert shown.code == [
        f"{books}  # (1)!\n",
        f"{books}\n",  # no list explains the annotation here
    ]
    highlighted = re.findall(r'<span class="hll">(.*?)\n</span>', shown.html)
    assert len(highlighted) == 2 * 4, "a statement is highlighted whole"
    copy = (small_site / "site/index.md").read_text(encoding="utf-8")
    assert f'```python title="shelf.py"\n{books}  # (1)!\n```' in copy


def test_a_markdown_copy_leads_on_below_a_traceback_with_its_marks(small_site: Path) -> None:
    page(small_site, "Text.")
    (small_site / "docs/more.md").write_text(
        "---\ndescription: Another page, to be linked.\n---\n\n# More\n\n"
        '```text\n--8<-- "shelf.out"\n    ~~~~~~^^^^\n```\n\n[Home](index.md)\n',
        encoding="utf-8",
    )
    settings = (small_site / "mkdocs.yml").read_text(encoding="utf-8")
    (small_site / "mkdocs.yml").write_text(
        settings.replace("nav: [index.md]", "nav: [index.md, more.md]"), encoding="utf-8"
    )
    made = build(small_site, small_site / "site")
    assert made.returncode == 0, made.stderr
    copy = (small_site / "site/more/index.md").read_text(encoding="utf-8")
    assert "    ~~~~~~^^^^" in copy
    assert "[Home](../index.md)" in copy


@pytest.mark.parametrize(
    "fence, named",
    [
        pytest.param('```python\n--8<-- "shelf.py:nowhere"\n```', "'nowhere'", id="section"),
        pytest.param('```python\n--8<-- "no_program.py"\n```', "no_program.py", id="program"),
        pytest.param('```text\n--8<-- "no_output.out"\n```', "no_output.out", id="output"),
        pytest.param('```mermaid\n--8<-- "no_drawing.mmd"\n```', "no_drawing.mmd", id="diagram"),
        pytest.param("[nowhere](nowhere.md)", "nowhere.md", id="link"),
        pytest.param("[nowhere](#nowhere)", "#nowhere", id="anchor"),
    ],
)
def test_the_build_fails_and_names_what_is_missing(
    small_site: Path, fence: str, named: str
) -> None:
    page(small_site, fence)
    made = build(small_site, small_site / "site")
    assert made.returncode != 0
    assert named in made.stderr
    assert "index.md" in made.stderr


def test_the_build_fails_for_a_page_without_a_description(small_site: Path) -> None:
    page(small_site, "Text.", description="")
    made = build(small_site, small_site / "site")
    assert made.returncode != 0
    assert "index.md: the front matter has no description" in made.stderr


def test_without_front_end_files_the_build_says_what_to_do(small_site: Path) -> None:
    page(small_site, "Text.")
    (small_site / "node_modules").unlink()
    made = build(small_site, small_site / "site")
    assert made.returncode != 0
    assert (made.stdout + made.stderr).strip().endswith("is missing: run `make setup`")
