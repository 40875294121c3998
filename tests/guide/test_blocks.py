"""What a reader does with a program of a page: run, edit, reset, stop, copy and share it."""

import gzip
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from docs.programs import reader_copy
from tests.guide.browser import (
    PATIENCE,
    hold,
    press,
    set_scheme,
    violations,
    wider_than_the_window,
    window,
    write,
)
from tests.guide.site import Served, Site

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHAPTER = "building-blocks/first-event/"
NEXT = "building-blocks/fields-and-value-objects/"
PROGRAM = "ch01_first_event/first_event"
TEXT, _ = reader_copy((ROOT / f"docs_src/{PROGRAM}.py").read_text(encoding="utf-8"))
OUTPUT = (ROOT / f"docs_src/{PROGRAM}.out").read_text(encoding="utf-8")
PLAYGROUND = "playground/"
WORDS = ["Run", "Edit", "Copy program", "Download"]
CLIPBOARD = ["clipboard-read", "clipboard-write"]

pytestmark = pytest.mark.xdist_group("blocks")


def block_of(page: Page, section: str) -> Locator:
    return page.locator(f'.highlight[data-program="{PROGRAM}"][data-section="{section}"]')


def says(block: Locator, words: str) -> None:
    """Wait until the page says of a run what it should."""
    expect(block.locator(".run__said")).to_contain_text(words, timeout=PATIENCE)


def printed(block: Locator) -> str:
    return block.locator(".run__text").text_content() or ""


def written(place: Locator) -> str:
    """The text of an editor that shows all of its lines."""
    return "\n".join(line.rstrip("\n") for line in place.locator(".cm-line").all_inner_texts())


def focused(page: Page) -> str:
    return str(page.evaluate("() => document.activeElement.textContent"))


def tab_to(page: Page, word: str) -> None:
    """Press Tab until a button has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if focused(page) == word:
            return
    pytest.fail(f"Tab does not reach {word}")


def runs(page: Page) -> list[str]:
    """The workers in which Python runs."""
    return [worker.url for worker in page.workers if worker.url.endswith("/run/worker.js")]


def looks_wrong(page: Page) -> list[str]:
    """What axe-core finds in both colours, and whether the page scrolls sideways."""
    wrong = ["scrolls sideways"] if wider_than_the_window(page) else []
    for scheme in ("dark", "light"):
        set_scheme(page, scheme)
        wrong += [f"{scheme}: {found}" for found in violations(page, AXE)]
    return wrong


def test_every_program_has_its_buttons_and_nothing_else_is_fetched(
    chromium: Browser, site: Site, served: Served
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        page.wait_for_load_state("networkidle")
        blocks = page.locator(".highlight[data-program]")
        assert blocks.count() > 3
        for block in blocks.all():
            assert block.locator(".run button").all_text_contents() == WORDS
        asked = [url.partition("/assets/")[2] for url in seen.asked if "/assets/" in url]
        loaded = [name for name in asked if name.startswith(("run/", "programs/"))]
        assert all(re.match(r"run/(main\.js|chunks/chunk-\w+\.js)$", name) for name in loaded)
        sizes = [
            len(gzip.compress((site.folder / "assets" / name).read_bytes())) for name in loaded
        ]
        assert 0 < sum(sizes) <= 6 * 1024
        assert seen.problems() == []


def test_the_buttons_take_the_room_that_was_kept_for_them(
    chromium: Browser, served: Served
) -> None:
    height = "() => document.querySelector('.md-content').getBoundingClientRect().height"
    with window(chromium, served.url) as (page, _):
        page.route("**/assets/run/main.js", lambda route: route.abort())
        page.goto(urljoin(served.url, CHAPTER))
        before = page.evaluate(height)
        page.unroute("**/assets/run/main.js")
        page.goto(urljoin(served.url, CHAPTER))
        page.locator(".run").first.wait_for()
        assert abs(page.evaluate(height) - before) < 2


@pytest.mark.parametrize(
    "script", ["delete window.WebAssembly", "delete window.Worker", None], ids=str
)
def test_without_scripts_or_in_an_old_browser_the_page_is_the_plain_page(
    chromium: Browser, served: Served, script: str | None
) -> None:
    with window(chromium, served.url, java_script_enabled=script is not None) as (page, seen):
        if script:
            page.add_init_script(script)
        page.goto(urljoin(served.url, CHAPTER))
        page.wait_for_load_state("networkidle")
        block = block_of(page, "run")
        assert block.locator("code").is_visible()
        assert page.locator(".run").count() == 0
        room = block.locator("pre").bounding_box(), block.bounding_box()
        assert room[0]
        assert room[1]
        assert room[1]["height"] - room[0]["height"] < 2, "room is kept for buttons"
        page.goto(urljoin(served.url, PLAYGROUND))
        assert page.get_by_text("The playground needs JavaScript").is_visible()
        assert seen.problems() == []


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_a_reader_runs_edits_breaks_and_resets_a_program(
    chromium: Browser, served: Served, size: str
) -> None:
    with window(chromium, served.url, size, permissions=CLIPBOARD) as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        block = block_of(page, "event")
        press(block, "Run")
        says(block, "the whole program ran in")
        assert printed(block) == OUTPUT
        assert block.locator(".run__file").inner_text() == "first_event.py"
        assert looks_wrong(page) == []

        press(block, "Edit")
        top = block.locator(".cm-line", has_text="class CopiesReceived")
        expect(top).to_be_in_viewport()
        expect(block.locator("pre > span > code")).not_to_be_visible()
        place = block.locator(".run__editor")
        broken = TEXT.replace("class CopiesReceived(Event):", "class CopiesReceived(Evnt):")
        write(page, place, broken)
        press(block, "Run")
        line = broken[: broken.index("Evnt")].count("\n") + 1
        says(block, f"failed in line {line}")
        assert printed(block).endswith("Did you mean: 'Event'?\n"), printed(block)
        marked = block.locator(".cm-failed")
        assert "Evnt" in marked.inner_text()
        page.keyboard.press("Control+Home")
        press(block, f"Show line {line}")
        expect(marked).to_be_in_viewport()
        assert looks_wrong(page) == []

        press(block, "Close editor")
        expect(block.locator("pre > span > code")).to_be_visible()
        expect(block.locator(".run__note")).to_contain_text("Run runs your edited program")
        press(block, "Copy program")
        expect(block.locator(".run__note")).to_have_text("Copied.")
        assert page.evaluate("() => navigator.clipboard.readText()") == broken
        with page.expect_download() as download:
            press(block, "Download")
        assert download.value.suggested_filename == "first_event.py"
        assert download.value.path().read_text(encoding="utf-8") == broken
        press(block, "Reset")
        assert focused(page) == "Edit"
        press(block, "Run")
        says(block, "the whole program ran in")
        assert printed(block) == OUTPUT
        assert looks_wrong(page) == []
        assert seen.problems() == []


def test_an_error_is_marked_in_the_excerpt_that_has_its_line(
    chromium: Browser, served: Served
) -> None:
    wrong = TEXT.replace("book_id: str", "book_id: int")
    line = next(n for n, text in enumerate(TEXT.splitlines(), 1) if "CopiesReceived(b" in text)

    def deliver(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "text": wrong})

    # A service worker would answer the second request with the program as it is.
    with window(chromium, served.url, service_workers="block") as (page, _):
        page.route(f"**/programs/{PROGRAM}.json", deliver)
        page.goto(urljoin(served.url, CHAPTER))
        inside, outside = block_of(page, "aggregate"), block_of(page, "event")
        press(inside, "Run")
        says(inside, f"failed in line {line},")
        mark = inside.locator(".run__mark").bounding_box()
        text = inside.locator("code span", has_text="CopiesReceived").first.bounding_box()
        assert mark
        assert text
        assert mark["y"] <= text["y"] + text["height"] / 2 <= mark["y"] + mark["height"]
        press(outside, "Run")
        says(outside, f"failed in line {line},")
        assert outside.locator(".run__mark").count() == 0


def test_an_endless_loop_is_told_of_and_stopped_with_the_keyboard_alone(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        page.locator(".run").first.wait_for()
        block = page.locator(".highlight[data-program]").first
        tab_to(page, "Edit")
        page.keyboard.press("Enter")
        expect(block.locator(".cm-content")).to_be_focused()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text("print('begun')\nif True:")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("while True: pass")
        expect(block.locator(".cm-content")).to_be_focused()  # Tab indents
        page.keyboard.press("Control+Enter")
        says(block, "is still running; Stop ends it")
        expect(page.locator("#run-voice")).to_contain_text("Stop ends it")
        expect(block.locator(".run__text")).to_have_text("begun\n", timeout=PATIENCE)
        page.keyboard.press("Escape")
        tab_to(page, "Stop")
        assert (
            page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"
        )
        page.keyboard.press("Enter")
        says(block, "was stopped after")
        assert printed(block) == "begun\n"
        assert focused(page) == "Run"
        assert violations(page, AXE) == []
        tab_to(page, "Reset")
        page.keyboard.press("Enter")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        assert focused(page) == "Run"
        page.keyboard.press("Enter")
        says(block, "the whole program ran in")
        assert printed(block) == OUTPUT
        assert seen.problems() == []


def test_buttons_are_there_after_instant_navigation_and_what_runs_is_stopped(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, CHAPTER))
        page.wait_for_load_state("networkidle")
        page.evaluate("() => { window.sameDocument = true }")
        block = block_of(page, "event")
        press(block, "Edit")
        write(page, block.locator(".run__editor"), "while True: pass\n")
        page.keyboard.press("Control+Enter")
        says(block, "is still running; Stop ends it")
        assert len(runs(page)) == 1
        page.locator(f".stream a[href$='{NEXT.split('/')[1]}/']").click()
        page.wait_for_url(urljoin(served.url, NEXT))
        page.locator("h1", has_text="Fields").wait_for()
        page.locator(".highlight[data-program] .run").first.wait_for()
        assert page.evaluate("() => window.sameDocument")
        for _ in range(PATIENCE // 100):  # a browser takes its time to end a worker that is busy
            if not runs(page):
                break
            page.wait_for_timeout(100)
        assert runs(page) == [], "a program runs that nobody sees"
        for toolbars in page.locator(".highlight[data-program]").all():
            assert toolbars.locator(".run").count() == 1
        assert seen.problems() == []


def test_the_playground_shares_a_program_that_runs_only_when_it_is_run(
    chromium: Browser, served: Served
) -> None:
    program = 'print("Émile — 📚")\n'
    with window(chromium, served.url, "phone", permissions=CLIPBOARD) as (page, seen):
        page.goto(urljoin(served.url, PLAYGROUND))
        place = page.locator("[data-playground]")
        expect(place.locator(".cm-content")).to_contain_text("CupFilled")
        starts = place.locator("select option").all_inner_texts()
        assert starts[:2] == ["An empty program", "An event and a handler"]
        place.locator("select").select_option("A rule that an aggregate keeps")
        expect(place.locator(".cm-content")).to_contain_text("no_seat_is_sold_twice")
        place.locator("select").select_option("An empty program")
        expect(place.locator(".cm-content")).to_contain_text("# Write a program here.")
        assert written(place) == "# Write a program here."
        write(page, place, program)
        press(place, "Share")
        expect(place.locator(".run__note")).to_have_text("The link was copied.")
        link = page.evaluate("() => navigator.clipboard.readText()")
        assert link == page.url == place.locator(".playground__link").input_value()
        assert looks_wrong(page) == []
        page.reload()
        expect(place.locator(".playground__said")).to_contain_text("Read it before you run it")
        assert seen.problems() == []
    with window(chromium, served.url) as (page, seen):
        page.goto(link)
        place = page.locator("[data-playground]")
        expect(place.locator(".playground__said")).to_contain_text("Read it before you run it")
        assert written(place).strip() == program.strip()
        page.wait_for_load_state("networkidle")
        assert runs(page) == [], "the link started Python"
        start = place.locator("select")
        assert start.locator("option:checked").inner_text() == "A shared program"
        press(place, "Run")
        says(place, "the whole program ran in")
        assert printed(place) == program[7:-3] + "\n"
        place.locator(".cm-content").focus()
        page.keyboard.type("# more")
        assert "#" not in page.url, "the address has another program than the editor"
        press(place, "Reset")
        assert written(place).strip() == program.strip()
        assert looks_wrong(page) == []
        start.select_option("An event and a handler")
        expect(place.locator(".cm-content")).to_contain_text("CupFilled")
        assert "A shared program" not in start.locator("option").all_inner_texts()
        assert seen.problems() == []


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_nothing_moves_when_the_playground_is_filled(
    chromium: Browser, served: Served, size: str
) -> None:
    top = "() => document.querySelector('#starting-points').getBoundingClientRect().top"
    with window(chromium, served.url, size) as (page, _):
        release = hold(page, "**/assets/run/main.js")
        page.goto(urljoin(served.url, PLAYGROUND), wait_until="commit")
        page.locator("footer").wait_for()
        page.evaluate("() => document.fonts.ready")
        before = page.evaluate(top)
        release()
        place = page.locator("[data-playground]")
        expect(place.locator(".cm-content")).to_contain_text("CupFilled")
        assert abs(page.evaluate(top) - before) < 1
        place.locator("select").select_option("An empty program")
        expect(place.locator(".cm-content")).to_contain_text("# Write a program here.")
        assert abs(page.evaluate(top) - before) < 1


@pytest.mark.parametrize(
    "fragment, expected",
    [
        ("program=1.49ecebce.ZVFNasUgEN57iiErhTQ", "damaged"),
        ("program=1.cut", "damaged"),
        ("program=7.49ecebce.ZVFNasUgEN57iiErhTQ", "version 7"),
        (f"program=1.49ecebce.{'a' * 20_000}", "longer program"),
    ],
    ids=["changed", "cut", "another version", "long"],
)
def test_a_wrong_link_says_what_is_wrong(
    chromium: Browser, served: Served, fragment: str, expected: str
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, f"{PLAYGROUND}#{fragment}"))
        said = page.locator(".playground__said")
        expect(said).to_contain_text(expected)
        assert violations(page, AXE) == []
        start = page.locator("[data-playground] select")
        assert start.locator("option:checked").inner_text() == "An empty program"
        start.select_option("Events without a domain")
        expect(page.locator("[data-playground] .cm-content")).to_contain_text("Dispatcher")
        expect(said).to_be_empty()
        assert seen.problems() == []


def test_on_paper_there_are_programs_and_outputs_and_no_buttons(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, _):
        page.goto(urljoin(served.url, CHAPTER))
        block = block_of(page, "event")
        press(block, "Edit")
        block.locator(".cm-content").wait_for()
        page.emulate_media(media="print")
        assert block.locator("code").is_visible()
        assert [one for one in page.locator(".run__button").all() if one.is_visible()] == []
        assert not block.locator(".run__editor").is_visible()


def test_what_cannot_be_fetched_is_said_and_tried_again(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url) as (page, _):
        page.goto(urljoin(served.url, CHAPTER))
        block = block_of(page, "event")
        page.route("**/assets/programs/**", lambda route: route.abort())
        press(block, "Edit")
        expect(block.get_by_role("alert")).to_contain_text("could not be loaded")
        page.unroute("**/assets/programs/**")
        press(block, "Edit")
        expect(block.locator(".cm-content")).to_be_focused()
        assert block.get_by_role("alert").count() == 0


def test_the_playground_keeps_what_was_written_while_the_reader_looks_something_up(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, PLAYGROUND))
        place = page.locator("[data-playground]")
        expect(place.locator(".cm-content")).to_contain_text("CupFilled")
        write(page, place, "print('mine')\n")
        page.locator(".stream a[href$='first-event/']").click()
        page.locator("h1", has_text="first event").wait_for()
        page.go_back()
        expect(place.locator(".cm-content")).to_contain_text("mine")
        press(place, "Reset")
        expect(place.locator(".cm-content")).to_contain_text("CupFilled")
        assert page.locator(".cm-editor").count() == 1
        assert seen.problems() == []
