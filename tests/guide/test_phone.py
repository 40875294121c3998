"""What a terminal printed, options and wide tables, on a phone."""

from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser

from tests.guide.browser import window
from tests.guide.site import Served

pytestmark = pytest.mark.xdist_group("phone")

LINES = """() => [...document.querySelectorAll(".columns")].map((table) => {
  table.closest("pre").style.contentVisibility = "visible";
  const text = document.createRange();
  text.selectNodeContents(table);
  const tops = [...text.getClientRects()].filter((one) => one.width > 1).map((one) => one.top);
  const lines = table.textContent.split("\\n").filter((line) => line.trim());
  return [lines.length, new Set(tops.map(Math.round)).size, lines[0]];
})"""
BROKEN = """() => {
  const options = [...document.querySelectorAll(".option")];
  for (const one of options) {
    const block = one.closest("pre");
    if (block) block.style.contentVisibility = "visible";
  }
  const broken = options.filter((one) => one.getClientRects().length > 1);
  return [options.length, broken.map((one) => one.textContent)];
}"""


def test_a_table_that_a_command_printed_keeps_its_columns(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url, "phone") as (page, _):
        page.goto(urljoin(served.url, "in-production/server/"))
        found = page.evaluate(LINES)
        assert [first for *_, first in found if first.startswith("subscription  reads")]
        assert [one for one in found if one[0] != one[1]] == []
        table = page.locator(".columns").first
        assert table.evaluate("table => table.scrollWidth > table.clientWidth")
        code = table.locator("xpath=ancestor::code")
        assert code.inner_text() == code.text_content(), "the copy has other lines"


def test_no_option_is_broken_at_a_hyphen(chromium: Browser, served: Served) -> None:
    with window(chromium, served.url, "phone") as (page, _):
        for address in ("reference/command-line/", "in-production/server/"):
            page.goto(urljoin(served.url, address))
            count, broken = page.evaluate(BROKEN)
            assert count > 5
            assert broken == [], address


def test_the_first_results_of_the_guarantees_are_seen_at_once(
    chromium: Browser, served: Served
) -> None:
    with window(chromium, served.url, "phone") as (page, _):
        page.goto(urljoin(served.url, "reference/guarantees/"))
        cells = page.locator("table").nth(1).locator("tbody tr").first.locator("td")
        for cell in (cells.nth(2), cells.nth(3)):
            assert cell.inner_text().endswith(("passed", "tests"))
            box = cell.bounding_box()
            assert box
            assert box["x"] + box["width"] <= 390
