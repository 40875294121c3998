"""How long a reader waits for the first output of a program in the page, and what is fetched.

`python -m benchmarks page` builds the site and takes about a minute. Each cold run has a browser
profile of its own, which has nothing of the site but the page that is being read; the next ones
press Run again on the same page. Served over HTTP on this machine, uncompressed.
"""

import gzip
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Page, Request

from tests.guide.browser import browser, window
from tests.guide.site import Site, build, serve
from tools.doctor import Missing, find_chromium

ROOT = Path(__file__).parents[1]
CHAPTER = "building-blocks/event-handlers/"
RUNS = 5
COLD = 6.0  # seconds at most
WARM = 0.3
PATIENCE = 120_000  # milliseconds

RUN = """() => new Promise((resolve, reject) => {
  const block = document.querySelector(".highlight[data-program]");
  const started = performance.now();
  const look = () => {
    const printed = block.querySelector(".run__text");
    if (block.dataset.run === "failed") reject(new Error(printed.textContent));
    else if (block.dataset.run !== "old" && printed && printed.textContent) {
      const took = performance.now() - started;
      const end = () => block.dataset.run === "ended" ? resolve(took) : setTimeout(end, 5);
      end();
    } else requestAnimationFrame(look);
  };
  block.querySelector("[data-do=run]").click();
  block.dataset.run = "old";
  requestAnimationFrame(look);
})"""
"""Presses Run of the first program; how long until something is printed, once it has ended."""


def report() -> Iterator[str]:
    """What was measured, a line each."""
    yield f"\na program in the page, /{CHAPTER}, over local HTTP, medians of {RUNS}"
    try:
        chromium = find_chromium()
    except Missing as missing:
        yield f"  not measured: {missing}"
        return
    with tempfile.TemporaryDirectory() as folder:
        made = build(ROOT, Path(folder))
        if made.returncode:
            raise RuntimeError(made.stderr)
        site = Site(Path(folder))
        with serve(site, "/guide/") as served, browser(chromium) as opened:
            cold, warm, asked = [], [], []
            for _ in range(RUNS):
                with window(opened, served.url) as (page, _):
                    page.goto(urljoin(served.url, CHAPTER), wait_until="networkidle")
                    asked = fetched_by(page)
                    cold.append(seconds(page))
                    asked = asked.copy()
                    warm += [seconds(page) for _ in range(RUNS)]
        sizes = [site.folder / urlsplit(url).path.removeprefix("/guide/") for url in set(asked)]
        contents = [path.read_bytes() for path in sizes if path.is_file()]
    yield line("from the first press to the first output", cold, COLD)
    yield line("from the next presses", warm, WARM)
    raw, packed = sum(map(len, contents)), sum(len(gzip.compress(each)) for each in contents)
    yield f"  fetched for the first run: {raw / 1e6:.1f} MB, {packed / 1e6:.1f} MB compressed"


def fetched_by(page: Page) -> list[str]:
    """The addresses that are asked for from now on, by the page and its workers."""
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.context.on("request", note)
    return asked


def seconds(page: Page) -> float:
    """From a press of Run to the first output."""
    page.set_default_timeout(PATIENCE)
    time.sleep(0.2)  # what the run before has still to do is not this one's
    took: float = page.evaluate(RUN)
    return took / 1000


def line(name: str, took: list[float], bound: float) -> str:
    """A row of the report."""
    middle = statistics.median(took)
    verdict = "met" if middle <= bound else "MISSED"
    span = f"{min(took):.2f} to {max(took):.2f}"
    return f"  {name:42} {middle:6.2f} s   {span:>16}   at most {bound:g} s  {verdict}"
