"""Programs, links and sites that cannot go well: what the reader is told, and what works after it.

Each program is run in a page in which the next one must run: what it says, that the page goes on
meanwhile, and what the program of the guide prints afterwards. How long it took is kept with the
result, and decides nothing: machines differ.
"""

import base64
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.guide.browser import PATIENCE, press, window
from tests.guide.site import Served

ROOT = Path(__file__).parents[2]
CHAPTER = "building-blocks/first-event/"
PLAYGROUND = "playground/"
OUTPUTS = {CHAPTER: "ch01_first_event/first_event.out", PLAYGROUND: "playground/event.out"}
OVER = re.compile("the whole program|broke Python|did not run|was stopped|is still running")

pytestmark = pytest.mark.xdist_group("bad programs")

PAUSES = """() => {
  let last = performance.now();
  window.longest = 0;
  clearInterval(window.beat);
  window.beat = setInterval(() => {
    const now = performance.now();
    window.longest = Math.max(window.longest, now - last - 20);
    last = now;
  }, 20);
}"""
"""Begins to measure for how long nothing else can happen in the page, in milliseconds."""

BELOW_THE_HEADER = """(line) => {
  const header = document.querySelector(".md-header").getBoundingClientRect();
  return header.height > 0 && line.getBoundingClientRect().top >= header.height;
}"""

GOES_ON = """() => new Promise((done) => {
  let frames = 0;
  const frame = () => (++frames === 5 ? done(frames) : requestAnimationFrame(frame));
  frame();
})"""
"""Ends when the page has drawn itself some times."""


HOLDS = "([element, text]) => element.textContent.includes(text)"
"""Whether a text is in an element, sign by sign: what a program printed last may yet come."""


@dataclass(frozen=True)
class Bad:
    """A program that cannot go well."""

    text: str
    said: str
    """What stands beside the name of the program."""
    told: str = ""
    """What stands below it."""


DEMANDED = {
    "an endless loop": Bad("while True:\n    pass\n", "is still running; Stop ends it"),
    "an endless print": Bad("while True:\n    print('x')\n", "failed in line 2", "2,000 lines"),
    "a recursion without end": Bad("def f():\n    f()\nf()\n", "failed in line 2", "300 deep"),
    "input": Bad("name = input('name? ')\n", "failed in line 1", "write the answer into the"),
    "a mistake in the syntax": Bad("x = 1\nprint(x\n", "failed in line 2", "was never closed"),
    "an import that is not there": Bad("import numpy\n", "failed in line 1", "To use other"),
}
CHAIN = """
from happened import Aggregate, Domain, Event

garden = Domain("garden")

@garden.aggregate
class Plant(Aggregate):
    height: int = 0
    def grow(self):
        self.raise_(Grown(plant_id=self.id))

@garden.event(part_of=Plant)
class Grown(Event):
    plant_id: str

@garden.on(Grown)
def look(event: Grown):
    HANDLER

garden.init()
plant = Plant()
plant.grow()
garden.repository_for(Plant).add(plant)
"""
AGAIN = "plant = Plant(); plant.grow(); garden.repository_for(Plant).add(plant)"
OTHERS = {
    "a loop that catches everything": Bad(
        "while True:\n    try:\n        print('x')\n    except BaseException:\n        pass\n",
        "is still running; Stop ends it",
        "x\n",
    ),
    "a long sleep": Bad("import time\ntime.sleep(100)\n", "is still running; Stop ends it"),
    "a coroutine without end": Bad(
        "import asyncio\nasync def main():\n    while True:\n        await asyncio.sleep(0.1)\n"
        "asyncio.run(main())\n",
        "is still running; Stop ends it",
    ),
    "events that raise themselves": Bad(
        CHAIN.replace("HANDLER", AGAIN), "is still running; Stop ends it"
    ),
    "a recursion in a handler": Bad(CHAIN.replace("HANDLER", "look(event)"), "failed", "300 deep"),
    "a recursion in C": Bad(
        "import json\njson.loads('[' * 200_000)\n",
        "broke Python, after",
        "The next run starts Python anew",
    ),
    "a line without end": Bad("print('x' * 10_000_000)\n", "failed in line 1", "100,000 char"),
    "an error without end": Bad("raise ValueError('x' * 10_000_000)\n", "failed in line 1", "xxx"),
    "errors in a circle": Bad(
        "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a\n",
        "failed in line 3",
        "ValueError: a",
    ),
    "too much memory": Bad("kept = [0] * 2**29\n", "failed in line 1", "MemoryError"),
    "reading standard input": Bad(
        "import sys\nsys.stdin.read()\n", "failed in line 2", "write the answer into the"
    ),
    "reading the file of standard input": Bad(
        "import os\nprint(os.read(0, 9))\n", "ran in", "b''\n"
    ),
    "a password": Bad("import getpass\ngetpass.getpass()\n", "failed in line 2", "for a password"),
    "a thread": Bad(
        "import threading\nthreading.Thread(target=print).start()\n",
        "failed in line 2",
        "threads cannot start in a web page",
    ),
    "leaving at once": Bad("import os\nos._exit(3)\n", "broke Python, after", "exit(3)"),
    "leaving": Bad("import sys\nsys.exit('I go')\n", "left with exit status 1", "I go\n"),
    "leaving with a status": Bad("import sys\nsys.exit(3)\n", "left with exit status 3", ""),
    "leaving with nothing": Bad("raise SystemExit\n", "ran in", ""),
    "packages": Bad("import micropip\n", "failed in line 1", "To use other"),
    "the browser's ways out": Bad(
        "import js\nout = ('fetch', 'caches', 'postMessage', 'close')\n"
        "print([name for name in out if hasattr(js, name)])\n",
        "ran in",
        "[]\n",
    ),
    "what runs programs": Bad(
        "import happened_in_page\nhappened_in_page.execute = happened_in_page.Paper = None\n",
        "ran in",
    ),
    "no standard output": Bad(
        "import sys\nsys.stdout.close()\nprint('x')\n", "failed in line 3", "closed file"
    ),
    "no modules": Bad("import sys\nsys.modules.clear()\n", "ran in"),
    "markup": Bad(
        "print('<img src=x onerror=\"document.title=1\"><script>document.title=2</script>')\n",
        "ran in",
        "<script>document.title=2</script>",
    ),
    "characters that are not shown": Bad(
        "print('\\x1b[31mred\\0\\u202eleft')\n", "ran in", "\x1b[31mred\0\u202eleft\n"
    ),
    "half a character": Bad("print('\\ud800')\n", "failed in line 1", "surrogates not allowed"),
    "nothing": Bad("", "ran in"),
    "a megabyte": Bad(f"# {'x' * 1_000_000}\nprint('end')\n", "ran in", "end\n"),
}
CASES = [
    *((address, name, bad) for address in OUTPUTS for name, bad in DEMANDED.items()),
    *((PLAYGROUND, name, bad) for name, bad in OTHERS.items()),
]


@pytest.fixture(scope="module")
def places(chromium: Browser, served: Served) -> Iterator[dict[str, Locator]]:
    """Give the editors of a chapter and of the playground, each on a page where Python is there."""
    allowed = ["clipboard-read", "clipboard-write"]
    with window(chromium, served.url, permissions=allowed) as (first, _):
        found = {}
        for address in OUTPUTS:
            page = first.context.new_page()
            page.goto(urljoin(served.url, address))
            if address == PLAYGROUND:
                place = page.locator("[data-playground]")
            else:
                place = page.locator(".highlight[data-program]").first
                press(place, "Edit")
            place.locator(".cm-content").wait_for()
            assert run(place) == "the whole program ran in"
            found[address] = place
        yield found


def begin(place: Locator) -> None:
    """Press Run, with nothing left of the run before it, nor to see of how it ended."""
    for stop in place.get_by_role("button", name="Stop", exact=True).all():
        stop.click()
    for said in place.locator(".run__said").all():
        said.evaluate("said => { said.textContent = '' }")
    press(place, "Run")


def run(place: Locator) -> str:
    """Run the program of the guide, which must print as it does there; return how it ended."""
    press(place, "Reset")
    begin(place)
    said = place.locator(".run__said")
    expect(said).to_contain_text(re.compile("the whole program|broke|did not"), timeout=PATIENCE)
    address = PLAYGROUND if place.get_attribute("data-playground") is not None else CHAPTER
    kept = (ROOT / "docs_src" / OUTPUTS[address]).read_text(encoding="utf-8")
    assert place.locator(".run__text").text_content() == kept
    return re.sub(r" [\d.]+\s*s.*", "", said.inner_text())


def paste(page: Page, place: Locator, text: str) -> None:
    """Paste a program in place of what is there."""
    place.locator(".cm-content").focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    if text:
        page.evaluate("text => navigator.clipboard.writeText(text)", text)
        page.keyboard.press("Control+v")


@pytest.mark.parametrize(
    "address, name, bad", CASES, ids=[f"{address}: {name}" for address, name, _ in CASES]
)
def test_a_bad_program_is_told_of_and_the_next_one_runs(
    places: dict[str, Locator],
    record_property: Callable[[str, object], None],
    address: str,
    name: str,
    bad: Bad,
) -> None:
    place = places[address]
    page = place.page
    page.bring_to_front()
    title = page.title()
    paste(page, place, bad.text)
    page.evaluate(PAUSES)
    begun = time.monotonic()
    begin(place)
    expect(place.locator(".run__said")).to_contain_text(OVER, timeout=PATIENCE)
    record_property("seconds until told", round(time.monotonic() - begun, 2))
    assert page.evaluate(GOES_ON) == 5
    said, printed = place.locator(".run__said"), place.locator(".run__text")
    expect(said).to_contain_text(bad.said, timeout=PATIENCE)
    page.wait_for_function(HOLDS, arg=[printed.element_handle(), bad.told], timeout=PATIENCE)
    if "still running" in bad.said:
        press(place, "Copy program")
        expect(place.locator(".run__note")).to_contain_text(re.compile("copied", re.IGNORECASE))
        assert page.evaluate("() => navigator.clipboard.readText()") == bad.text
        press(place, "Stop")
        expect(said).to_contain_text("was stopped after", timeout=PATIENCE)
    record_property("longest pause of the page", page.evaluate("() => Math.round(longest)"))
    assert page.title() == title
    assert run(place) == "the whole program ran in"


def link(program: bytes, version: str = "1") -> str:
    """A link to the playground that carries these bytes, deflated."""
    made = zlib.compressobj(9, zlib.DEFLATED, -15)
    return carry(made.compress(program) + made.flush(), version)


def carry(packed: bytes, version: str = "1") -> str:
    """A link to the playground with these bytes, and with the right checksum."""
    text = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    return f"{PLAYGROUND}#program={version}.{zlib.crc32(packed):08x}.{text}"


MARKUP = "<img src=x onerror=document.title=1><script>document.title=2</script>"
GREETING = link(b"print('hello')\n")
DAMAGED = "This link is damaged"
FROM_LINK = "This program came with the link. Read it before you run it."


@pytest.mark.parametrize(
    "address, said, shown",
    [
        (GREETING, FROM_LINK, "print('hello')"),
        (GREETING.replace("program=", "program%3D"), FROM_LINK, "print('hello')"),
        (link(MARKUP.encode()), FROM_LINK, MARKUP),
        (GREETING[:-1], DAMAGED, ""),
        (GREETING[: len(GREETING) // 2], DAMAGED, ""),
        (f"{PLAYGROUND}#program=", DAMAGED, ""),
        (f"{PLAYGROUND}#program={MARKUP}", DAMAGED, ""),
        (GREETING[:-2] + ("A" if GREETING[-2] != "A" else "B") + GREETING[-1], DAMAGED, ""),
        (link(b"print(1)", version="12"), "This link is of version 12", ""),
        (carry(b"\xff\xff\xff\xff"), DAMAGED, ""),
        (link(b"\xff\xfe\xfd"), DAMAGED, ""),
        (link(b"a" * 10_000_000), "longer program than the playground takes", ""),
    ],
    ids=[
        "good",
        "good, with an escaped sign",
        "markup",
        "cut at its end",
        "cut in half",
        "cut before the program",
        "markup in the version",
        "changed",
        "of a later version",
        "not deflated",
        "not text",
        "small, but huge when unpacked",
    ],
)
def test_a_link_is_shown_or_told_to_be_wrong_and_the_page_works(
    chromium: Browser, served: Served, address: str, said: str, shown: str
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.goto(served.url + address)
        place = page.locator("[data-playground]")
        expect(place.locator(".playground__said")).to_contain_text(said)
        if shown:
            expect(place.locator(".cm-line").first).to_have_text(shown)
        else:
            expect(place.locator(".cm-placeholder")).to_have_text("# Write a program here.")
        place.locator("select").select_option("A rule that an aggregate keeps")
        expect(place.locator(".cm-content")).to_contain_text("no_seat_is_sold_twice")
        assert page.title().startswith("Playground")
        assert seen.problems() == []


def refuse(route: Route) -> None:
    """Answer as a site does that has lost a file."""
    route.fulfill(status=404, body="not here")


def welcome(route: Route) -> None:
    """Answer as a hotel's network does, whatever was asked."""
    route.fulfill(status=200, content_type="text/html", body="<h1>Welcome</h1>")


def cut(route: Route) -> None:
    """Answer with the first half of a file."""
    answer = route.fetch()
    headers = {name: text for name, text in answer.headers.items() if name != "content-length"}
    route.fulfill(status=200, headers=headers, body=answer.body()[: len(answer.body()) // 2])


@pytest.mark.parametrize("answer", [refuse, welcome, cut])
@pytest.mark.parametrize(
    "file",
    ["runtime.json", "worker.js", "pyodide.asm.wasm", "python_stdlib.zip", "happened-*.whl"],
)
def test_what_python_needs_and_does_not_come_is_told_and_python_starts_when_it_does(
    chromium: Browser, served: Served, file: str, answer: Callable[[Route], None]
) -> None:
    with window(chromium, served.url, service_workers="block") as (page, _):
        page.goto(urljoin(served.url, CHAPTER))
        page.context.route(f"**/assets/run/**/{file}", answer)
        page.context.route(f"**/assets/run/{file}", answer)
        place = page.locator(".highlight[data-program]").first
        press(place, "Run")
        expect(place.locator(".run__said")).to_have_text("did not run", timeout=PATIENCE)
        expect(place.locator(".run__text")).to_contain_text("Python did not start: ")
        expect(place.locator(".run__text")).to_contain_text("press Run again")
        assert "object" not in (place.locator(".run__text").text_content() or "")
        page.context.unroute_all()
        begin(place)
        expect(place.locator(".run__said")).to_contain_text("ran in", timeout=PATIENCE)


@pytest.mark.parametrize(
    "script, said",
    [
        ("delete window.CompressionStream", "too old for links"),
        ("delete Navigator.prototype.clipboard", "Copy the link from below"),
    ],
    ids=["no compression", "no clipboard"],
)
def test_a_link_that_cannot_be_made_or_copied_is_told(
    chromium: Browser, served: Served, script: str, said: str
) -> None:
    with window(chromium, served.url) as (page, seen):
        page.add_init_script(script)
        page.goto(urljoin(served.url, PLAYGROUND))
        place = page.locator("[data-playground]")
        press(place, "Share")
        expect(place.locator(".run__note")).to_contain_text(said)
        assert place.locator(".playground__link").is_visible() is ("below" in said)
        assert seen.problems() == []


def test_a_browser_that_forbids_workers_is_told_so(chromium: Browser, served: Served) -> None:
    forbid = "window.Worker = class { constructor(_, options) { options.type; throw 'no'; } }"
    for address in OUTPUTS:
        with window(chromium, served.url) as (page, _):
            page.add_init_script(forbid)
            page.goto(urljoin(served.url, address))
            place = page.locator(".highlight[data-program], [data-playground]").first
            press(place, "Run")
            expect(place.locator(".run__said")).to_have_text("did not run")
            expect(place.locator(".run__text")).to_contain_text("which this browser does not allow")


def test_a_failure_is_read_aloud_from_where_it_says_what_failed(places: dict[str, Locator]) -> None:
    place = places[PLAYGROUND]
    place.page.bring_to_front()
    text = "for n in range(9):\n    print(n)\ndef f():\n    raise ValueError('no such book')\nf()\n"
    paste(place.page, place, text)
    begin(place)
    expect(place.locator(".run__said")).to_contain_text("failed in line 4")
    expect(place.page.locator("#run-voice")).to_contain_text("\nValueError: no such book")


def test_edit_pressed_many_times_opens_one_editor(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url) as (page, _):
        page.goto(urljoin(served.url, CHAPTER))
        place = page.locator(".highlight[data-program]").first
        place.locator(".run").wait_for()
        place.evaluate(
            "block => { for (let n = 0; n < 5; n++) block.querySelector('[data-do=edit]').click() }"
        )
        expect(place.locator(".cm-content")).to_be_focused()
        assert place.locator(".cm-editor").count() == 1


def test_the_edited_section_stands_below_the_page_s_header(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, _):
        page.goto(urljoin(served.url, CHAPTER))
        for number in range(3):
            place = page.locator(".highlight[data-program]").nth(number)
            press(place, "Edit")
            section = place.locator(".cm-section").first
            expect(section).to_be_in_viewport()
            page.wait_for_function(BELOW_THE_HEADER, arg=section.element_handle())
            press(place, "Close editor")
