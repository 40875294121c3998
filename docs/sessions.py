"""What keeps the lines of a terminal readable on a phone."""

import re
from html import unescape

PRINTED = re.compile(r'(?:<span class="go">[^\n]*</span>\n)+')
GAP = re.compile(r"\S {2,}\S")
OPTION = re.compile(r"(?<![\w&</-])--?[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?![^<>]*>)")
INLINE = re.compile(r"<code>[^<]*</code>")


def lines_kept(code: str) -> str:
    """A session whose columns are scrolled and whose options stay whole, where others wrap."""
    return PRINTED.sub(lambda found: columns(found[0]), options(code))


def columns(printed: str) -> str:
    """Lines that a command printed; from the first with a gap on they are a table."""
    lines = printed.splitlines()
    wide = (
        number
        for number, line in enumerate(lines)
        if GAP.search(unescape(re.sub("<[^>]+>", "", line)))
    )
    first = next(wide, len(lines))
    if len(lines) - first < 2:
        return printed
    table = "\n".join(lines[first:])
    before = "".join(f"{line}\n" for line in lines[:first])
    return f'{before}<span class="columns" tabindex="0">{table}</span>\n'


def options(html: str) -> str:
    """Text whose options are not broken at their hyphens."""
    return OPTION.sub(r'<span class="option">\g<0></span>', html)


def options_in_prose(html: str) -> str:
    """A page whose options in sentences and tables are not broken at their hyphens."""
    return INLINE.sub(lambda found: options(found[0]), html)
