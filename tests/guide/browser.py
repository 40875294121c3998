"""A browser that opens the built guide: what went wrong on a page, and what was drawn on it."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Request,
    Route,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as NotInTime

Scheme = Literal["light", "dark"]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
PATIENCE = 180_000  # milliseconds: a first run boots Python, perhaps beside other tests

KEEP_SHADOWS = """
const attach = Element.prototype.attachShadow;
const shadows = new WeakMap();
Element.prototype.attachShadow = function (options) {
  const root = attach.call(this, options);
  shadows.set(this, root);
  return root;
};
window.drawings = () => [...document.querySelectorAll(".diagram")].map((box) => {
  const host = box.querySelector("div.mermaid");
  const svg = host && shadows.get(host)?.querySelector("svg");
  const drawn = svg && svg.viewBox.baseVal.width > 20 && svg.querySelector("text, .nodeLabel");
  return drawn ? svg : null;
});
"""
"""Lets a test look into closed shadow roots, where the theme puts drawings."""

ROOM = """() => window.drawings().map((svg, index) => {
  const kept = document.querySelectorAll(".diagram__room")[index].style;
  const drawn = svg ? svg.viewBox.baseVal : { width: 0, height: 0 };
  const number = (name) => Number(kept.getPropertyValue(name));
  return [number("--width"), number("--height"), Math.round(drawn.width), Math.round(drawn.height)];
})"""
"""The size that the page keeps free for each drawing, and the size that it has."""

ALL_DRAWN = "() => window.drawings().every((drawing) => drawing)"

CONTRASTS = """() => {
  const channel = (value) => {
    value /= 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const found = [];
  for (const svg of window.drawings().filter(Boolean)) {
    for (const label of svg.querySelectorAll(".node .nodeLabel")) {
      const shape = label.closest(".node").querySelector("rect, polygon, circle, path");
      const behind = shape ? getComputedStyle(shape).fill : paper;
      found.push([label.textContent.trim(), contrast(getComputedStyle(label).color, behind)]);
    }
    for (const text of svg.querySelectorAll("text.messageText, text.actor, text.noteText")) {
      if (!text.textContent.trim()) continue;
      const part = text.querySelector("tspan") ?? text;
      const shape = text.matches(".messageText") ? null : text.parentElement.querySelector("rect");
      const fill = shape ? getComputedStyle(shape).fill : "none";
      const behind = fill === "none" ? paper : fill;
      found.push([text.textContent.trim(), contrast(getComputedStyle(part).fill, behind)]);
    }
    for (const head of svg.querySelectorAll("marker path")) {
      const name = "arrowhead " + head.parentElement.id;
      found.push([name, contrast(getComputedStyle(head).fill, paper)]);
    }
  }
  return found;
}"""
"""The contrast of every text of every drawing with what is behind it, and of the arrowheads."""


@dataclass
class Seen:
    """What went wrong while pages were open, and what was asked for."""

    here: str
    wrong: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Listen to every page of a context."""
        context.on("console", self._said)
        context.on("weberror", lambda error: self._note(self.console, str(error.error)))
        context.on("request", self._asked)
        context.on("requestfailed", self._failed)
        context.on(
            "response",
            lambda answer: (
                self._note(self.wrong, f"{answer.status} {answer.url}")
                if answer.status >= 400
                else None
            ),
        )

    def problems(self) -> list[str]:
        """Return everything that went wrong so far."""
        return [*self.console, *self.wrong, *(f"asked {url}" for url in self.foreign)]

    def _note(self, kind: list[str], text: str) -> None:
        kind.append(text)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.console.append(f"{message.page.url if message.page else ''}: {message.text}")

    def _asked(self, request: Request) -> None:
        self.asked.append(request.url)
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self.here:
            self.foreign.append(request.url)

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # left by going to the next page
            self.wrong.append(f"{request.failure} {request.url}")


@contextmanager
def browser(chromium: str) -> Iterator[Browser]:
    """Open a browser with a fresh profile, which reaches no host but this machine."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS, timeout=PATIENCE)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def window(
    browser: Browser, url: str, size: str = "desktop", scheme: Scheme = "light", **options: Any
) -> Iterator[tuple[Page, Seen]]:
    """Open a window of a size in a colour scheme, and watch it."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
        **options,
    )
    context.set_default_timeout(30_000)
    context.add_init_script(KEEP_SHADOWS)
    seen = Seen(urlsplit(url).netloc)
    seen.watch(context)
    try:
        yield context.new_page(), seen
    finally:
        context.close()


def hold(page: Page, pattern: str) -> Callable[[], str]:
    """Hold back the one file that a page asks for at an address of this pattern.

    Returns what waits until it is asked for, lets it come, and returns its address.
    """
    held: list[Route] = []

    def note(route: Route) -> None:
        held.append(route)

    def release() -> str:
        while not held:
            page.wait_for_timeout(20)
        (route,) = held
        route.continue_()
        return route.request.url

    page.route(pattern, note)
    return release


def arrive(page: Page, url: str) -> None:
    """Wait until the theme has shown the page of an address, which is there before the page is."""
    page.wait_for_url(url)
    page.wait_for_function(
        "url => document.querySelector('.stream__link[aria-current]')?.href === url", arg=url
    )


def press(place: Locator, word: str) -> None:
    """Press a button of a program, by its name."""
    place.get_by_role("button", name=word, exact=True).click()


def write(page: Page, place: Locator, text: str) -> None:
    """Put a text into an editor in place of what is there."""
    place.locator(".cm-content").focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def draw(page: Page, *, within: float = PATIENCE / 1000) -> tuple[int, int]:
    """Wait some seconds for a page's drawings; return how many were drawn, of how many."""
    present = page.locator(".diagram").count()
    end = time.monotonic() + within
    while present and time.monotonic() < end:
        page.mouse.move(5, 300)
        page.mouse.move(6, 301)  # a sign of life: what is out of view is drawn, too
        with suppress(NotInTime):  # nobody may have listened yet; what is missing is counted below
            page.wait_for_function(ALL_DRAWN, timeout=1000)
            break
    drawn = page.evaluate("() => window.drawings().filter(Boolean).length")
    return int(drawn), present


def ill_fitting(page: Page, address: str) -> list[str]:
    """Return what docs/diagrams.json should say of drawings that do not fit their room."""
    wrong = []
    for number, (width, height, *drawn) in enumerate(page.evaluate(ROOM), 1):
        if not all(
            abs(kept / has - 1) <= 0.08
            for kept, has in zip((width, height), drawn, strict=True)
            if has
        ):
            wrong.append(
                f"a drawing has the room {width} x {height}: docs/diagrams.json should say "
                f'"{address}#{number}": {drawn}'
            )
    return wrong


def set_scheme(page: Page, scheme: Scheme) -> None:
    """Change the colours while the page is open, as the button in the header does."""
    name = {"light": "default", "dark": "slate"}[scheme]
    if page.evaluate("() => document.body.dataset.mdColorScheme") != name:
        page.locator("[data-palette]").evaluate("button => button.click()")
    page.wait_for_function("name => document.body.dataset.mdColorScheme === name", arg=name)


def violations(page: Page, axe: Path) -> list[str]:
    """Return what axe-core finds, as ``rule: element``."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run({resultTypes: ['violations']}).then((r) => r.violations)")
    return [
        f"{violation['id']}: {node['html'][:120]}"
        for violation in found
        for node in violation["nodes"]
    ]


def wider_than_the_window(page: Page) -> bool:
    """Tell whether the page can be scrolled sideways."""
    return bool(page.evaluate("() => document.documentElement.scrollWidth > innerWidth"))


def break_diagram(page: Page, url: str) -> None:
    """Have a page delivered with its first diagram broken."""

    def deliver(route: Route) -> None:
        answer = route.fetch()
        body = re.sub(
            r'(<pre class="mermaid"><code>)[^<]*',
            r"\1flowchart LR\n a --&gt; [[",
            answer.text(),
            count=1,
        )
        route.fulfill(response=answer, body=body)

    page.route(url, deliver)
