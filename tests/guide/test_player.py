"""The player of recorded runs: every step of the trace, in order, with its arrow and its lines."""

import ast
import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page

from tests.guide.browser import (
    PATIENCE,
    Scheme,
    arrive,
    hold,
    set_scheme,
    violations,
    wider_than_the_window,
    window,
)
from tests.guide.site import Served, Site

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHAPTERS = {
    "building-blocks/event-handlers/": "ch08_event_handlers/bookshelf",
    "following-events/tracing/": "ch10_tracing/bookshelf",
}
HANDLERS, PROGRAM = next(iter(CHAPTERS.items()))

STATE = """() => {
  const player = document.querySelector(".player");
  const all = (selector) => [...player.querySelectorAll(selector)];
  const steps = (selector) => all(selector).map((one) => Number(one.dataset.step));
  const shown = [...(CSS.highlights.get("step") ?? [])];
  return {
    said: all(".player__said p").map((one) => one.textContent),
    now: steps(".lanes__step--now"),
    later: steps(".lanes__step--later"),
    all: steps("[data-step]"),
    lanes: all(".lanes__head--now text").map((one) => one.textContent),
    lit: shown.map((range) => [
      range.startContainer.parentElement.closest("[data-program]").dataset.program,
      range.toString(),
    ]),
    excerpts: all("figure").map((one) => [
      one.querySelector("figcaption").textContent,
      one.querySelector("code").textContent,
      Boolean(one.querySelector("button")),
    ]),
  };
}"""

CLIPPED = """() => {
  const box = document.querySelector(".lanes").getBoundingClientRect();
  return [...document.querySelectorAll(".lanes text")].filter((text) => {
    const { left, right, top, bottom } = text.getBoundingClientRect();
    return left < box.left || right > box.right || top < box.top || bottom > box.bottom;
  }).map((text) => text.textContent);
}"""


FOCUSED = "() => document.activeElement.textContent"

LOADED = """() => performance.getEntriesByType("resource")
  .filter(({ name }) => /assets\\/run\\/chunks|assets\\/programs/.test(name))
  .reduce((sum, { transferSize }) => sum + transferSize, 0)"""
"""How many bytes were fetched to play a run."""

ROOM = """() => {
  const diagram = document.querySelector(".diagram[data-trace]");
  const above = diagram.previousElementSibling.matches(".playable")
    ? diagram.previousElementSibling.previousElementSibling
    : diagram.previousElementSibling;
  const below = diagram.nextElementSibling;
  return below.getBoundingClientRect().top - above.getBoundingClientRect().bottom;
}"""
"""The distance between what stands above the drawing and what stands below it."""


def trace_of(program: str) -> list[dict[str, Any]]:
    path = ROOT / f"docs_src/{program}.trace.json"
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def sentence(step: dict[str, Any]) -> str:
    """What the player says of a step of a run in which nothing failed."""
    name, handler = step["message"]["name"], step["handler"] and step["handler"]["name"]
    events = " and ".join(event["name"] for event in step["events"])
    command = step["message"]["kind"] == "command"
    said = {
        "received": f"The caller sends {name}.",
        "handling": f"{handler} handles {name}."
        if command
        else f"{name} is dispatched to {handler}.",
        "persisted": f"{step['aggregate']} is persisted with {events}.",
        "handled": f"{handler} is done.",
    }
    return said[step["kind"]]


def lanes(step: dict[str, Any], trace: list[dict[str, Any]]) -> set[str]:
    """Between whom a step goes: where the message comes from, who handles it, what is committed."""
    here = step["handler"]["name"].split(".")[0] if step["handler"] else "caller"
    if step["kind"] == "persisted":
        return {here, step["aggregate"]}
    if step["kind"] != "handling":
        return {here}
    raised = {event["id"]: one["aggregate"] for one in trace for event in one["events"]}
    return {here, raised.get(step["message"]["id"], "caller")}


def ranges(step: dict[str, Any], text: str) -> list[tuple[int, int]]:
    """The lines of a step, as Python's own parser finds them."""
    tree = ast.parse(text)
    names = {}
    for outer in tree.body:
        if isinstance(outer, ast.ClassDef | ast.FunctionDef):
            names[outer.name] = outer
            inner = [node for node in ast.walk(outer) if isinstance(node, ast.FunctionDef)]
            names |= {f"{outer.name}.{node.name}": node for node in inner if node is not outer}
    wanted = []
    if step["kind"] == "received":
        wanted = [step["message"]["name"]]
    elif step["kind"] == "persisted":
        for event in step["events"]:
            raises = f"self.raise_({event['name']}("
            wanted += [event["name"]] + [
                name
                for name, node in names.items()
                if name.startswith(f"{step['aggregate']}.") and raises in ast.unparse(node)
            ]
    else:
        wanted = [step["handler"]["name"]]
    found = {name: names[name] for name in wanted}
    return sorted(
        (
            min([node.lineno, *(one.lineno for one in node.decorator_list)]),
            int(node.end_lineno or 0),
        )
        for node in found.values()
    )


def play(page: Page) -> None:
    page.get_by_role("button", name="Step through this run").click()
    page.locator(".player .lanes").wait_for()


def press_next(page: Page, *, last: bool) -> None:
    """Go to the next step; at the last one the button says that it cannot be pressed."""
    page.get_by_role("button", name="Next").click(force=last)


def check(state: dict[str, Any], number: int, program: str, text: str) -> None:
    """Compare what the player shows with a step of the trace."""
    trace = trace_of(program)
    step, lines = trace[number], text.splitlines()
    assert state["said"] == [f"Step {number + 1} of {len(trace)}", sentence(step)]
    assert state["all"] == list(range(len(trace)))
    assert (state["now"], state["later"]) == ([number], list(range(number + 1, len(trace))))
    assert set(state["lanes"]) == lanes(step, trace)
    name = f"{program.split('/')[1]}.py"
    shown = {
        f"{name}, lines {first} to {last}": (first, last) for first, last in ranges(step, text)
    }
    assert [caption for caption, _, _ in state["excerpts"]] == list(shown), step
    expected = set()
    for caption, code, on_page in state["excerpts"]:
        first, last = shown[caption]
        body = [line.strip() for line in lines[first - 1 : last]]
        assert [line.strip() for line in code.splitlines()] == body
        if on_page:
            expected.add("\n".join(body))
    lit = {"\n".join(line.strip() for line in code.splitlines()) for _, code in state["lit"]}
    assert lit == expected
    assert {owner for owner, _ in state["lit"]} <= {program}


@pytest.mark.parametrize("address", CHAPTERS)
@pytest.mark.parametrize("way", ["opened directly", "reached by instant navigation"])
@pytest.mark.parametrize(
    "size, scheme",
    [
        pytest.param("phone", "dark", marks=pytest.mark.xdist_group("phone")),
        pytest.param("desktop", "light", marks=pytest.mark.xdist_group("desktop")),
    ],
)
def test_every_step_of_the_recorded_run_is_shown_in_order(
    chromium: Browser, site: Site, served: Served, size: str, scheme: Scheme, way: str, address: str
) -> None:
    program = CHAPTERS[address]
    described = json.loads(
        (site.folder / f"assets/programs/{program}.json").read_text(encoding="utf-8")
    )
    count = len(trace_of(program))
    with window(chromium, served.url, size, scheme) as (page, seen):
        url = urljoin(served.url, address)
        if way == "opened directly":
            page.goto(url)
        else:
            page.goto(served.url)
            page.wait_for_load_state("networkidle")
            page.evaluate(
                "url => [...document.querySelectorAll('.stream a')]"
                ".find((link) => link.href === url).click()",
                url,
            )
            arrive(page, url)
        play(page)
        for number in range(count):
            check(page.evaluate(STATE), number, program, described["text"])
            if program == PROGRAM:  # this chapter shows all of its program
                assert all(on_page for _, _, on_page in page.evaluate(STATE)["excerpts"])
            press_next(page, last=number == count - 1)
        assert page.evaluate(STATE)["now"] == [count - 1]  # there is none after the last
        for number in reversed(range(count - 1)):
            page.get_by_role("button", name="Back").click()
            check(page.evaluate(STATE), number, program, described["text"])
        assert page.evaluate(CLIPPED) == []
        assert not wider_than_the_window(page)
        other: Scheme = "dark" if scheme == "light" else "light"
        for colours in (scheme, other):
            set_scheme(page, colours)
            assert violations(page, AXE) == []
        assert seen.problems() == []


@pytest.mark.xdist_group("desktop")
def test_the_keyboard_plays_a_run_and_leaves_it(chromium: Browser, served: Served) -> None:
    last = len(trace_of(PROGRAM)) - 1
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, HANDLERS))
        start = page.get_by_role("button", name="Step through this run")
        start.focus()
        page.keyboard.press("Enter")
        page.locator(".player .lanes").wait_for()
        assert page.locator(".diagram[data-trace]").is_hidden()
        for key, number in {"ArrowRight": 1, "End": last, "ArrowLeft": last - 1, "Home": 0}.items():
            page.keyboard.press(key)
            assert page.evaluate(STATE)["now"] == [number]
        page.keyboard.press("Control+End")
        assert page.evaluate(STATE)["now"] == [0]
        page.get_by_role("button", name="bookshelf.py, lines").first.click()
        assert page.evaluate("() => document.activeElement.closest('[data-program]') !== null")
        assert page.locator(".player").count() == 1
        page.get_by_role("button", name="Close").click()
        assert page.evaluate(FOCUSED) == "Step through this run"
        assert page.locator(".player").count() == 0
        assert page.locator(".diagram[data-trace]").is_visible()
        assert page.evaluate("() => CSS.highlights.size") == 0
        assert seen.problems() == []


@pytest.mark.xdist_group("phone")
def test_a_run_is_fetched_when_it_is_played(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url, "phone") as (page, seen):
        page.goto(urljoin(served.url, HANDLERS))
        page.locator(".playable").wait_for()
        page.wait_for_load_state("networkidle")
        assert not [url for url in seen.asked if "player" in url or "/programs/" in url]
        before = len(seen.asked)
        play(page)
        asked = [url.removeprefix(served.url) for url in seen.asked[before:]]
        known = ("assets/run/chunks/", "assets/mermaid/")
        asked = [url for url in asked if not url.startswith(known)]
        assert asked == [f"assets/programs/{PROGRAM}.json"]
        assert page.evaluate(LOADED) < 64_000


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_nothing_moves_when_the_button_appears(
    chromium: Browser, served: Served, size: str
) -> None:
    with window(chromium, served.url, size) as (page, _):
        release = hold(page, "**/assets/run/main.js*")
        page.goto(urljoin(served.url, HANDLERS), wait_until="commit")
        page.locator("footer").wait_for()
        before = page.evaluate(ROOM)
        assert before > 100
        release()
        page.locator(".playable").wait_for()
        assert abs(page.evaluate(ROOM) - before) < 1


@pytest.mark.xdist_group("phone")
def test_without_scripts_the_drawing_is_text_and_has_no_button(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url, java_script_enabled=False) as (page, _):
        page.goto(urljoin(served.url, HANDLERS))
        assert "sequenceDiagram" in page.locator(".diagram[data-trace]").inner_text()
        assert page.locator(".playable").count() == 0


@pytest.mark.xdist_group("phone")
def test_a_run_that_cannot_be_loaded_is_told_and_can_be_played_later(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url) as (page, _):
        page.goto(urljoin(served.url, HANDLERS))
        page.route("**/assets/programs/**", lambda route: route.abort())
        page.get_by_role("button", name="Step through this run").click()
        page.get_by_text("This could not be loaded").wait_for()
        page.unroute("**/assets/programs/**")
        play(page)
        assert page.evaluate(STATE)["now"] == [0]


@pytest.mark.xdist_group("desktop")
def test_a_readers_own_run_is_played_below_the_block_that_ran(
    chromium: Browser, site: Site, served: Served
) -> None:
    described = json.loads(
        (site.folder / f"assets/programs/{PROGRAM}.json").read_text(encoding="utf-8")
    )
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, HANDLERS))
        block = page.locator(f"[data-program='{PROGRAM}'][data-section='take_stock']")
        block.get_by_role("button", name="Edit").click()
        block.locator(".cm-content").click()
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(described["text"].replace("copies=4", "copies=9"))
        block.get_by_role("button", name="Run", exact=True).click()
        own = page.get_by_role("button", name="Step through your run")
        own.wait_for(timeout=PATIENCE)
        own.click()
        page.locator(".player .lanes").wait_for()
        steps = [step for step in trace_of(PROGRAM) if step["message"]["name"] != "StockRanLow"]
        expected = [sentence(step) for step in steps]
        place = expected.index("Inventory is persisted with StockRanLow.")
        expected[place] = "Inventory is persisted. It raised no event."
        for number, text in enumerate(expected, 1):
            state = page.evaluate(STATE)
            assert state["said"] == [f"Step {number} of {len(expected)}", text]
            assert state["excerpts"]
            assert state["lit"] == []  # no block shows the program as the reader has it
            press_next(page, last=number == len(expected))
        assert violations(page, AXE) == []
        block.get_by_role("button", name="Run", exact=True).click()
        page.locator(".player").wait_for(state="detached", timeout=PATIENCE)
        own.wait_for()
        assert seen.problems() == []


def test_the_outline_of_a_program_is_what_python_finds(tmp_path: Path) -> None:
    made = tmp_path / "outline.mjs"
    esbuild = ROOT / "node_modules/.bin/esbuild"
    options = ["--bundle", "--format=esm", f"--outfile={made}", "--log-level=warning"]
    subprocess.run([esbuild, ROOT / "frontend/src/outline.ts", *options], check=True)
    files = sorted([*(ROOT / "docs_src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
    script = f"import {{ outline }} from {json.dumps(str(made))};{OUTLINES}"
    command = ["node", "--input-type=module", "--eval", script, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for path, found in zip(files, json.loads(done.stdout), strict=True):
        assert sorted(found) == sorted(blocks(path.read_text(encoding="utf-8"))), path
    assert len(files) > 100


OUTLINES = """
import { readFileSync } from "node:fs";
const texts = process.argv.slice(1).map((file) => readFileSync(file, "utf8"));
const rows = texts.map((text) => outline(text).map(({ name, lines }) => [name, ...lines]));
console.log(JSON.stringify(rows));
"""


def blocks(text: str) -> list[list[Any]]:
    """The classes and functions of a program with their first and last lines, by Python."""
    found: list[list[Any]] = []

    def visit(node: ast.AST, before: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = before
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inner = f"{before}{child.name}."
                first = min([child.lineno, *(one.lineno for one in child.decorator_list)])
                found.append([inner[:-1], first, child.end_lineno])
            visit(child, inner)

    visit(ast.parse(text), "")
    return found
