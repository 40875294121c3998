"""What a reader wrote into the programs of a page stays theirs for as long as the tab is open."""

from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.guide.browser import PATIENCE, arrive, hold, press, violations, window, write
from tests.guide.site import Served

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHAPTER = "building-blocks/first-event/"
NEXT = "building-blocks/fields-and-value-objects/"
BLOCK = '[data-program="ch01_first_event/first_event"]'
MINE = "print('mine')"

pytestmark = pytest.mark.xdist_group("blocks")


def block_of(page: Page, section: str = "event") -> Locator:
    return page.locator(f'.highlight{BLOCK}[data-section="{section}"]')


def edit(page: Page) -> Locator:
    """Open a chapter, and write another program into one of its blocks."""
    block = block_of(page)
    press(block, "Edit")
    write(page, block, MINE)
    return block


def is_still_there(block: Locator) -> None:
    """Wait until a block says that it runs the reader's program, and look at it."""
    expect(block.locator(".run__note")).to_have_text("Run runs your edited program.")
    press(block, "Edit")
    expect(block.locator(".cm-line")).to_have_text([MINE])


def test_links_within_a_page_leave_what_is_open_and_what_was_printed(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        page.wait_for_load_state("networkidle")
        block = edit(page)
        press(block, "Run")
        expect(block.locator(".run__said")).to_contain_text("ran in", timeout=PATIENCE)
        for link in (".md-nav__link", "h2 .headerlink"):
            page.locator(f"{link}[href$='#exercise']").first.click()
            page.wait_for_url("**/#exercise")
            expect(page.locator("#exercise")).to_be_in_viewport()
            page.locator(".md-nav__link[href$='#what-you-have-learnt']").first.click()
            page.wait_for_url("**/#what-you-have-learnt")
        page.go_back()
        page.wait_for_url("**/#exercise")
        page.wait_for_timeout(500)  # the theme would have loaded the page anew by now
        assert block.locator(".cm-line").all_inner_texts() == [MINE]
        assert block.locator(".run__text").text_content() == "mine\n"
        page.locator(f".stream a[href$='{NEXT.split('/')[1]}/']").click()
        expect(page.locator("h1")).to_contain_text("Fields")
        page.go_back()  # which the theme does, as it has shown another page
        expect(page.locator("h1")).to_contain_text("first event")
        assert seen.problems() == []


@pytest.mark.parametrize("way", ["the page is loaded anew", "back from another page"])
def test_an_edited_program_is_there_when_the_reader_comes_back(
    chromium: Browser, served: Served, way: str
) -> None:
    with window(chromium, served.url, "phone") as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        page.wait_for_load_state("networkidle")
        edit(page)
        if way == "the page is loaded anew":
            page.reload()
        else:
            page.goto(urljoin(served.url, NEXT))
            page.go_back()
        block = block_of(page)
        expect(block.locator("pre > span > code")).to_be_visible()  # the page reads as before
        is_still_there(block)
        assert violations(page, AXE) == []
        assert block_of(page, "aggregate").locator(".run__note").count() == 0
        press(block, "Reset")
        expect(block.locator(".cm-content")).to_contain_text("CopiesReceived")
        page.reload()
        page.locator(".run").first.wait_for()
        page.wait_for_load_state("networkidle")
        assert page.locator(".run__note").count() == 0
        assert seen.problems() == []


def test_an_edited_program_is_reset_without_its_editor(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        edit(page)
        page.reload()
        block = block_of(page)
        press(block, "Reset")
        expect(block.locator(".run__note")).to_be_empty()
        expect(block.get_by_role("button", name="Edit", exact=True)).to_be_focused()
        press(block, "Run")
        expect(block.locator(".run__said")).to_contain_text("ran in", timeout=PATIENCE)
        assert MINE[7:-2] not in (block.locator(".run__text").text_content() or "")
        assert seen.problems() == []


def test_another_tab_has_programs_of_its_own(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        edit(page)
        other = page.context.new_page()
        other.goto(urljoin(served.url, CHAPTER))
        other.locator(".run").first.wait_for()
        other.wait_for_load_state("networkidle")
        assert other.locator(".run__note").count() == 0
        assert seen.problems() == []


def test_who_presses_at_once_gets_the_program_that_is_about_to_be_shown(
    chromium: Browser, served: Served
) -> None:
    recorded = (ROOT / "docs_src/playground/event.out").read_text(encoding="utf-8")
    with window(chromium, served.url) as (page, seen):
        release = hold(page, "**/assets/programs/playground/event.json")
        page.goto(urljoin(served.url, "playground/"))
        place = page.locator("[data-playground]")
        for word in ("Reset", "Run", "Run"):
            press(place, word)
        with page.expect_download() as download:
            press(place, "Download")
            release()
        assert "CupFilled" in download.value.path().read_text(encoding="utf-8")
        expect(place.locator(".run__said")).to_contain_text("ran in", timeout=PATIENCE)
        assert place.locator(".run__text").text_content() == recorded
        assert seen.problems() == []


def test_what_is_written_while_the_playground_s_program_is_loaded_stays(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, seen):
        release = hold(page, "**/assets/programs/playground/event.json")
        page.goto(urljoin(served.url, "playground/"))
        place = page.locator("[data-playground]")
        write(page, place, MINE)
        press(place, "Run")
        release()
        expect(place.locator(".run__said")).to_contain_text("ran in", timeout=PATIENCE)
        assert place.locator(".run__text").text_content() == "mine\n"
        expect(place.locator(".cm-line")).to_have_text([MINE])
        press(place, "Reset")
        expect(place.locator(".cm-content")).to_contain_text("CupFilled")
        assert seen.problems() == []


def test_edit_pressed_twice_opens_one_editor(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        button = block_of(page).get_by_role("button", name="Edit", exact=True)
        button.evaluate("one => { one.click(); one.click(); }")
        block_of(page).locator(".cm-content").wait_for()
        page.wait_for_load_state("networkidle")
        assert page.locator(".cm-editor").count() == 1
        assert seen.problems() == []


def test_a_page_that_is_left_before_its_editor_has_come_is_left_for_good(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        page.wait_for_load_state("networkidle")
        release = hold(page, "**/assets/run/chunks/playground-*.js")
        page.locator(".stream__link[href$='/playground/']").first.evaluate("link => link.click()")
        page.wait_for_url("**/playground/")
        page.locator("[data-playground][data-run]").wait_for(state="attached")
        page.locator(f".stream__link[href$='/{NEXT}']").first.evaluate("link => link.click()")
        arrive(page, urljoin(served.url, NEXT))
        block_of_next = page.locator(".highlight[data-program]").first
        block_of_next.wait_for()
        page.evaluate("address => import(address).then(() => null)", release())
        press(block_of_next, "Edit")  # and all goes on
        expect(block_of_next.locator(".cm-content")).to_be_visible()
        assert page.locator(".cm-editor").count() == 1
        assert seen.problems() == []
