"""Every page of the guide in a real browser: light and dark, phone and desktop."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.guide.browser import (
    CONTRASTS,
    Scheme,
    Seen,
    arrive,
    break_diagram,
    draw,
    ill_fitting,
    set_scheme,
    violations,
    wider_than_the_window,
    window,
)
from tests.guide.site import Served, Site

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
DRAWINGS = "following-events/dispatcher/"
FIRST = "building-blocks/first-event/"
FAR = "reference/guarantees/"
PLAYED = "building-blocks/event-handlers/"
STORED = "in-production/storages/"
SERVER = "in-production/server/"

OPEN_ALL = "() => document.querySelectorAll('details').forEach((one) => { one.open = true })"
IN_THE_LIST = """() => {
  const link = document.querySelector(".stream__link[aria-current]").getBoundingClientRect();
  const list = document.querySelector(".md-sidebar--primary .md-sidebar__scrollwrap");
  const room = list.getBoundingClientRect();
  return room.height < list.scrollHeight && room.top <= link.top && link.bottom <= room.bottom;
}"""
BELOW_THE_BUTTON = """() => {
  const blocks = document.querySelectorAll(
    ":is(.language-pycon, .language-console, .language-text).highlight pre");
  const hidden = [];
  let wrapped = 0;
  for (const block of blocks) {
    block.style.contentVisibility = "visible";
    const button = block.querySelector(".md-code__button").getBoundingClientRect();
    if (!button.width) continue;
    wrapped += 1;
    const text = document.createRange();
    text.selectNodeContents(block.querySelector("code"));
    const covered = ({ left, right, top, bottom }) =>
      left < button.right && right > button.left && top < button.bottom && bottom > button.top;
    if ([...text.getClientRects()].some((one) => one.width > 1 && covered(one))) {
      hidden.push(block.textContent.slice(0, 80));
    }
  }
  return [wrapped, hidden];
}"""
FOCUSED = "() => document.activeElement.classList[0] ?? ''"
SHOWN = """(button) => {
  const code = button.closest(".highlight, pre").querySelector("code").cloneNode(true);
  code.querySelectorAll(".md-annotation, .md-code__nav").forEach((one) => one.remove());
  return code.textContent.trimEnd();
}"""

Report = Callable[[str, object], None]


def both_colours(page: Page, address: str, first: Scheme, numbers: dict[str, int]) -> list[str]:
    """Look at a page that is open in one scheme, then in the other, toggled live."""
    wrong = []
    drawn, present = draw(page)
    if drawn != present:
        wrong.append(f"{address}: {drawn} of {present} diagrams were drawn")
    other: Scheme = "dark" if first == "light" else "light"
    for scheme in (first, other):
        if scheme == other:
            set_scheme(page, scheme)
        found = violations(page, AXE)
        numbers["axe violations"] += len(found)
        wrong += [f"{address} in {scheme}: {violation}" for violation in found]
        if present:
            pale = [
                f"{text} ({value:.1f})" for text, value in page.evaluate(CONTRASTS) if value < 3
            ]
            wrong += [f"{address} in {scheme}: hard to read: {text}" for text in pale]
    if wider_than_the_window(page):
        wrong.append(f"{address} scrolls sideways")
    numbers["diagrams rendered"] += drawn
    numbers["diagrams present"] += present
    return wrong


def report(seen: Seen, numbers: dict[str, int], tell: Report) -> None:
    numbers["console errors"] = len(seen.console)
    numbers["requests to other hosts"] = len(seen.foreign)
    for name, number in numbers.items():
        tell(f"guide:browser, {name}", number)


@pytest.fixture
def numbers() -> dict[str, int]:
    return {"pages visited": 0, "diagrams rendered": 0, "diagrams present": 0, "axe violations": 0}


@pytest.mark.parametrize(
    "size, first",
    [
        pytest.param("phone", "light", marks=pytest.mark.xdist_group("phone")),
        pytest.param("desktop", "dark", marks=pytest.mark.xdist_group("desktop")),
    ],
)
def test_every_page_opened_directly(
    chromium: Browser,
    site: Site,
    served: Served,
    record_property: Report,
    numbers: dict[str, int],
    size: str,
    first: Scheme,
) -> None:
    wrong = []
    with window(chromium, served.url, size, first) as (page, seen):
        for address in site.pages:
            page.goto(urljoin(served.url, address))
            numbers["pages visited"] += 1
            wrong += both_colours(page, address or "the home page", first, numbers)
            wrong += ill_fitting(page, address)
            page.evaluate(
                "() => localStorage.clear()"
            )  # or the next page opens in this one's colours
        report(seen, numbers, record_property)
        assert wrong + seen.problems() == []


@pytest.mark.parametrize(
    "size, scheme",
    [
        pytest.param("phone", "dark", marks=pytest.mark.xdist_group("phone")),
        pytest.param("desktop", "light", marks=pytest.mark.xdist_group("desktop")),
    ],
)
def test_every_page_reached_by_instant_navigation(
    chromium: Browser,
    site: Site,
    served: Served,
    record_property: Report,
    numbers: dict[str, int],
    size: str,
    scheme: Scheme,
) -> None:
    wrong = []
    with window(chromium, served.url, size, scheme) as (page, seen):
        page.goto(served.url)
        page.wait_for_load_state("networkidle")
        page.evaluate("() => { window.sameDocument = true }")
        for address in [address for address in site.pages if address]:
            url = urljoin(served.url, address)
            page.evaluate(
                "url => document.querySelectorAll('.stream a').forEach("
                "(link) => { if (link.href === url) link.click() })",
                url,
            )
            arrive(page, url)
            page.locator("h1").first.wait_for()
            numbers["pages visited"] += 1
            drawn, present = draw(page)
            assert present == site.pages[address].diagrams
            numbers["diagrams rendered"] += drawn
            numbers["diagrams present"] += present
            if drawn != present:
                wrong.append(f"{address}: {drawn} of {present} diagrams were drawn")
            if wider_than_the_window(page):
                wrong.append(f"{address} scrolls sideways")
            wrong += ill_fitting(page, address)
            if not page.evaluate("() => window.sameDocument === true"):
                wrong.append(f"{address} was loaded anew")
                page.evaluate("() => { window.sameDocument = true }")
        report(seen, numbers, record_property)
        assert wrong + seen.problems() == []


@pytest.mark.xdist_group("phone")
def test_a_broken_diagram_is_seen(chromium: Browser, served: Served) -> None:
    url = urljoin(served.url, FIRST)
    with window(chromium, served.url) as (page, seen):
        break_diagram(page, url)
        page.goto(url)
        page.mouse.move(5, 300)
        failed = page.locator(".diagram--failed")
        failed.wait_for()
        assert "a --> [[" in failed.inner_text()
        drawn, present = draw(page, within=1)
        assert present > drawn
        assert seen.problems() != []


@pytest.mark.xdist_group("desktop")
def test_copy_buttons_copy_what_is_shown_without_marks(
    chromium: Browser, site: Site, served: Served
) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    wrong = []
    with window(chromium, served.url, permissions=permissions) as (page, _):
        for address in [address for address in site.pages if "reference/api" not in address]:
            page.goto(urljoin(served.url, address))
            page.evaluate(
                "() => document.querySelectorAll('details').forEach((e) => { e.open = true })"
            )
            for button in page.locator("button[data-md-type=copy]:visible").all():
                shown = button.evaluate(SHOWN)
                button.scroll_into_view_if_needed()
                button.click()
                copied = page.evaluate("() => navigator.clipboard.readText()")
                lines = [line.rstrip() for line in copied.splitlines()]
                if lines != [line.rstrip() for line in shown.splitlines()] or "(!)" in copied:
                    wrong.append(f"{address}: copied {copied!r}, shown {shown!r}")
                if "# (1)" in copied:
                    wrong.append(f"{address}: an annotation was copied: {copied!r}")
    assert wrong == []


@pytest.mark.xdist_group("phone")
def test_search_finds_a_chapter_by_its_words_and_loads_its_index_only_then(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, FIRST))
        page.wait_for_load_state("networkidle")
        assert not [url for url in seen.asked if url.endswith(("search/index.json", "lunr.js"))]
        page.keyboard.press("/")
        expect(page.locator(".md-search__input")).to_be_focused()
        page.keyboard.type("copies received", delay=20)
        page.locator(f".md-search-result__link[href*='{FIRST}']").first.wait_for()
        assert [url for url in seen.asked if url.endswith("search/index.json")]
        assert violations(page, AXE) == []
        assert seen.problems() == []


@pytest.mark.xdist_group("phone")
def test_a_page_can_be_read_without_scripts(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url, java_script_enabled=False) as (page, seen):
        page.goto(urljoin(served.url, FIRST))
        assert page.locator("pre.mermaid").first.is_visible()
        assert "flowchart" in page.locator("pre.mermaid").first.inner_text()
        assert page.locator(".highlight code").first.is_visible()
        assert page.locator(".stream__link").first.is_visible()
        assert seen.problems() == []


@pytest.mark.xdist_group("phone")
def test_the_keyboard_reaches_everything(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url, "phone") as (page, seen):
        page.goto(urljoin(served.url, FIRST))
        link = page.locator(".stream__link").nth(3)
        assert not link.is_visible()
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED) == "md-skip"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        link.wait_for()
        page.keyboard.press("Escape")
        link.wait_for(state="hidden")
        reached = set()
        for _ in range(20):
            page.keyboard.press("Tab")
            reached.add(page.evaluate(FOCUSED))
        assert {"wordmark", "md-header__button", "md-code__button"} <= reached
        assert seen.problems() == []


@pytest.mark.xdist_group("phone")
def test_a_reader_who_toggles_the_palette_sees_the_diagrams_in_its_colours(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, FIRST))
        assert draw(page)[0] >= 1
        before = page.evaluate(CONTRASTS)
        colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        page.locator("[data-palette]").click()
        assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") != colour
        after = page.evaluate(CONTRASTS)
        assert [text for text, _ in after] == [text for text, _ in before]
        assert [pair for pair in before + after if pair[1] < 4.5 and "arrow" not in pair[0]] == []
        assert seen.problems() == []


@pytest.mark.xdist_group("phone")
def test_the_list_of_pages_shows_the_page_that_is_open(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url) as (page, seen):
        for address in (FIRST, FAR):
            page.goto(urljoin(served.url, address))
            page.wait_for_function(IN_THE_LIST)
        after = page.locator("a[rel=next]")
        url = after.evaluate("link => link.href")
        after.evaluate("link => link.click()")
        arrive(page, url)
        page.wait_for_function(IN_THE_LIST)
        assert seen.problems() == []


@pytest.mark.xdist_group("phone")
def test_the_title_of_a_closed_box_stands_in_its_middle(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, FIRST))
        padding = page.locator("details > summary").first.evaluate(
            "(title) => [getComputedStyle(title).paddingTop, getComputedStyle(title).paddingBottom]"
        )
        assert padding[0] == padding[1] != "0px"
        assert seen.problems() == []


@pytest.mark.xdist_group("phone")
def test_paper_is_white_and_holds_every_drawing(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url, "desktop", "dark") as (page, seen):
        page.goto(urljoin(served.url, PLAYED))
        drawn, present = draw(page)
        assert drawn == present
        page.emulate_media(media="print", color_scheme="dark")
        page.set_viewport_size({"width": 640, "height": 900})
        colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert colour == "rgb(255, 255, 255)"
        boxes = page.evaluate(
            "() => [...document.querySelectorAll('.diagram')].map((box) =>"
            " [getComputedStyle(box).overflow, box.scrollWidth <= box.clientWidth])"
        )
        assert boxes == [["clip", True]] * present
        assert seen.problems() == []


@pytest.mark.xdist_group("phone")
def test_the_copy_button_hides_nothing_that_cannot_be_scrolled(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url, "phone") as (page, seen):
        for address in (STORED, SERVER):
            page.goto(urljoin(served.url, address))
            wrapped, hidden = page.evaluate(BELOW_THE_BUTTON)
            assert wrapped > 10
            assert hidden == []
        assert seen.problems() == []
