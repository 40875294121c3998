"""Run is pressed under every program of every page, and what appears is what CI recorded."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser

from docs.programs import runnable
from tests.guide.browser import PATIENCE, window
from tests.guide.masks import difference, mask
from tests.guide.site import Served, Site

ROOT = Path(__file__).parents[2]
RUNNABLE = runnable(ROOT / "docs_src")
SHOWN = re.compile(r'--8<-- "(?P<program>[\w/]+)\.py')

OPEN_ALL = """() => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
}"""
FIRST_BLOCKS = """() => {
  const first = new Map();
  for (const block of document.querySelectorAll(".highlight[data-program]")) {
    if (!first.has(block.dataset.program)) first.set(block.dataset.program, block);
  }
  return [...first].map(([program, block], number) => {
    block.id ||= `program-${number}`;
    return [program, block.id];
  });
}"""
"""The programs of a page, and the first block of each."""


def pages_with_programs() -> dict[str, set[str]]:
    """Which programs that run in a page each page shows, by its address."""
    found = {}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        programs = set(SHOWN.findall(path.read_text(encoding="utf-8"))) & RUNNABLE.keys()
        if programs:
            address = path.relative_to(ROOT / "docs").with_suffix("").as_posix() + "/"
            found[address.removesuffix("index/")] = programs
    return found


PAGES = pages_with_programs()


def test_every_program_that_runs_in_a_page_is_on_one() -> None:
    assert set.union(*PAGES.values()) == RUNNABLE.keys()


@pytest.mark.parametrize("address", PAGES)
def test_each_program_of_a_page_prints_there_what_was_recorded(
    chromium: Browser,
    site: Site,
    served: Served,
    address: str,
    record_property: Callable[[str, object], None],
) -> None:
    wrong = []
    with window(chromium, served.url) as (page, seen):
        page.goto(urljoin(served.url, address))
        page.locator("[data-do=run]").first.wait_for()
        page.evaluate(OPEN_ALL)
        blocks = page.evaluate(FIRST_BLOCKS)
        assert {program for program, _ in blocks} == PAGES[address]
        for program, id in blocks:
            block = page.locator(f"[id='{id}']")
            run = block.locator("[data-do=run]")
            run.click() if run.is_visible() else run.evaluate("(one) => one.click()")  # in a tab
            page.wait_for_function(
                "id => /^(ended|failed|stopped)$/.test(document.getElementById(id).dataset.run)",
                arg=id,
                timeout=PATIENCE,
            )
            recorded = json.loads((site.folder / f"assets/programs/{program}.json").read_text())
            printed = block.locator(".run__text").text_content() or ""
            if mask(printed) != mask(recorded["output"]):
                line, differing = difference(recorded["output"], printed)
                wrong.append(f"{program} prints something else, from line {line}:\n{differing}")
    record_property("guide:browser, programs run in a page", len(blocks))
    record_property("guide:browser, programs that printed something else", len(wrong))
    assert wrong + seen.problems() == []
