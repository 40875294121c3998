"""What the guide's tests share."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.guide.browser import browser
from tests.guide.made import Made, failures
from tests.guide.places import Guide
from tests.guide.site import Served, Site, built_once, serve
from tests.guide.small import Small
from tools.doctor import Missing, find_chromium

ROOT = Path(__file__).parents[2]
expect.set_options(timeout=30_000)  # milliseconds; in 5, a busy machine is not always done
SHARED = ("node_modules", "frontend", "src", "pyproject.toml", "README.md", "LICENSE")
"""What the build of a small site takes from this project."""


@pytest.fixture(scope="session")
def guide() -> Guide:
    """Give this project's guide."""
    return Guide(ROOT)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give a browser; without one, skip the tests that need it unless services are required."""
    try:
        path = find_chromium()
    except Missing as missing:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    with browser(path) as opened:
        yield opened


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Give the built guide."""
    return built_once(ROOT, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def served(site: Site) -> Iterator[Served]:
    """Serve the built guide below a base path."""
    with serve(site, "/guide/") as running:
        yield running


@pytest.fixture
def verify(record_property: Callable[[str, object], None]) -> Callable[[Made], None]:
    """Give a function that says what was checked, and fails once with everything that is wrong."""

    def check(made: Made) -> None:
        record_property("checked", dict(made.checked))
        if made.skipped:
            record_property("waiting", (made.skipped, dict(made.waiting)))
        if found := failures(made, ROOT):
            pytest.fail("\n".join(found), pytrace=False)
        if made.skipped:
            pytest.skip(made.skipped)

    return check


@pytest.fixture
def small(tmp_path: Path) -> Small:
    """Give a small guide that is right, to be made wrong."""
    return Small(tmp_path)


def make_small_site(folder: Path) -> Path:
    """Copy the site's parts into a folder, with a program and without a page."""
    left_out = shutil.ignore_patterns("*.md", "__pycache__")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=left_out)
    (folder / "docs_src").mkdir()
    (folder / "docs_src/shelf.py").write_text(
        "# needs: postgres\n"
        "# --8<-- [start:books]\n"
        "books = 1  # (!)\n"
        "shelves = sum(\n"
        "    [1],\n"
        ")  # (!)\n"
        "more = 2  # noqa: ERA001\n"
        "copies = 3  # type: ignore[misc]  # (1)!\n"
        "# --8<-- [end:books]\n",
        encoding="utf-8",
    )
    (folder / "docs_src/shelf.out").write_text("1\n", encoding="utf-8")
    for name in SHARED:
        (folder / name).symlink_to(ROOT / name)
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    text = re.sub(r"^  - mkdocstrings:\n(?:    .*\n)+", "", text, flags=re.MULTILINE)
    text = text[: text.index("\nnav:")].replace("watch: [docs_src, src]", "watch: [docs_src]")
    (folder / "mkdocs.yml").write_text(f"{text}\nnav: [index.md]\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def small_site_in() -> Callable[[Path], Path]:
    """Give a function that copies the site's parts into a folder."""
    return make_small_site


@pytest.fixture
def small_site(tmp_path: Path) -> Path:
    """Give a copy of the site's parts, to be made wrong."""
    return make_small_site(tmp_path)
