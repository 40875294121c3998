"""What ``happened diagram`` prints, and what it says where it cannot."""

from pathlib import Path

import pytest

from happened.cli import main

SHELF = """
from happened import Aggregate, Domain, Event
shelf = Domain("shelf")
@shelf.aggregate
class Book(Aggregate): ...
@shelf.event(part_of=Book)
class BookAdded(Event): ...
"""
DRAWING = """\
flowchart TB
    a1[["Book"]]:::aggregate
    e1(["BookAdded"]):::event
    a1 --> e1
"""

Captured = pytest.CaptureFixture[str]


def refused(captured: Captured, *arguments: str) -> str:
    """Run the command, see that it fails and prints nothing else, and return what it says."""
    assert main(["diagram", *arguments]) == 1
    said = captured.readouterr()
    assert not said.out
    return said.err


def test_it_prints_the_drawing_of_the_one_domain_of_a_module(
    folder: Path, capsys: Captured
) -> None:
    (folder / "shop.py").write_text(SHELF)
    assert main(["diagram", "shop"]) == 0
    assert capsys.readouterr().out == DRAWING


def test_a_domain_that_is_ready_is_not_completed_again(folder: Path, capsys: Captured) -> None:
    (folder / "shop.py").write_text(f"{SHELF}\nshelf.init()\nalias = shelf\nshelf.init = None\n")
    assert main(["diagram", "shop:alias"]) == 0
    assert main(["diagram", "shop"]) == 0
    assert capsys.readouterr().out == DRAWING * 2


def test_a_module_in_a_package_completes_with_its_neighbours(
    folder: Path, capsys: Captured
) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "domain.py").write_text(SHELF)
    (folder / "shop" / "slips.py").write_text(
        "from shop.domain import *\nprint('here')\n@shelf.on(BookAdded)\ndef print_slip(_): ...\n"
    )
    assert main(["diagram", "shop.domain"]) == 0
    said = capsys.readouterr()
    assert 'h1["print_slip"]:::handler' in said.out
    assert said.err == "here\n"


def test_direction_aggregate_and_file_can_be_chosen(folder: Path, capsys: Captured) -> None:
    (folder / "shop.py").write_text(f"{SHELF}\n@shelf.aggregate\nclass Reader(Aggregate): ...\n")
    options = ["--aggregate", "Book", "--direction", "LR", "-o", "book.mmd"]
    assert main(["diagram", "shop", *options]) == 0
    assert capsys.readouterr().out == ""
    assert (folder / "book.mmd").read_text() == DRAWING.replace("TB", "LR")


def test_a_large_domain_is_split_unless_it_is_wanted_whole(folder: Path, capsys: Captured) -> None:
    more = "".join(f"\n@shelf.aggregate\nclass More{n}(Aggregate): ...\n" for n in range(20))
    (folder / "shop.py").write_text(SHELF + more)
    assert main(["diagram", "shop"]) == 0
    split = capsys.readouterr().out
    assert split.startswith(f"## Book\n\n```mermaid\n{DRAWING}```\n\n## More0\n\n```mermaid\n")
    assert split.count("```mermaid") == 21
    assert main(["diagram", "shop", "--whole"]) == 0
    assert capsys.readouterr().out.count(":::aggregate") == 21


def test_what_is_no_module_is_refused(folder: Path, capsys: Captured) -> None:
    assert refused(capsys, "shop") == "happened: no module is named 'shop'\n"
    assert refused(capsys, "shop.py") == "happened: no module is named 'shop'\n"
    assert refused(capsys, "./shop") == (
        "happened: './shop' is not the name of a module; write it as in an import, such as "
        "shop.domain\n"
    )


def test_a_module_that_cannot_be_imported_is_refused(folder: Path, capsys: Captured) -> None:
    (folder / "shop.py").write_text("print('no drawing')\nimport no_such_thing")
    assert refused(capsys, "shop") == (
        "no drawing\nhappened: module 'shop' imports 'no_such_thing', which was not found\n"
    )
    (folder / "half.py").write_text("raise ValueError('two\\nlines')")
    assert refused(capsys, "half") == (
        "happened: module 'half' cannot be imported: ValueError: two lines\n"
    )


def test_a_module_without_the_domain_is_refused(folder: Path, capsys: Captured) -> None:
    (folder / "empty.py").touch()
    (folder / "shop.py").write_text(SHELF)
    assert refused(capsys, "empty") == (
        "happened: module 'empty' has no domain; name the module in which Domain(...) is made\n"
    )
    assert refused(capsys, "empty:shelf") == (
        "happened: module 'empty' has no domain 'shelf'; it has none\n"
    )
    assert refused(capsys, "shop:shelve") == (
        "happened: module 'shop' has no domain 'shelve'; did you mean 'shelf'?\n"
    )
    assert refused(capsys, "shop:Book") == (
        "happened: module 'shop' has no domain 'Book'; it has shelf\n"
    )


def test_of_several_domains_one_must_be_named(folder: Path, capsys: Captured) -> None:
    (folder / "shop.py").write_text(f"{SHELF}\nalias = shelf\nother = Domain('other')\n")
    assert refused(capsys, "shop") == (
        "happened: module 'shop' has 2 domains; name one, as shop:shelf or shop:other\n"
    )


def test_every_mistake_of_a_composition_is_named(folder: Path, capsys: Captured) -> None:
    wrong = "\n@shelf.event\nclass Lost(Event): ...\n@shelf.event\nclass Found(Event): ...\n"
    (folder / "shop.py").write_text(SHELF + wrong)
    assert refused(capsys, "shop") == (
        "happened: domain 'shelf': event Lost belongs to no aggregate; give it part_of=\n"
        "happened: domain 'shelf': event Found belongs to no aggregate; give it part_of=\n"
    )
    (folder / "early.py").write_text(f"{SHELF}{wrong}\nshelf.init()")
    assert len(refused(capsys, "early").splitlines()) == 2


def test_an_unknown_aggregate_is_refused(folder: Path, capsys: Captured) -> None:
    (folder / "shop.py").write_text(SHELF)
    assert refused(capsys, "shop", "--aggregate", "Bok") == (
        "happened: domain 'shelf' has no aggregate 'Bok'; did you mean 'Book'?\n"
    )


def test_other_errors_and_files_that_cannot_be_written_are_named(
    folder: Path, capsys: Captured
) -> None:
    (folder / "shop.py").write_text(SHELF)
    assert refused(capsys, "shop", "-o", "no/book.mmd") == (
        "happened: cannot write no/book.mmd: No such file or directory\n"
    )
    (folder / "lost.py").write_text(
        "from happened import NotFoundError\nraise NotFoundError(int, {'id': 1})"
    )
    assert refused(capsys, "lost").startswith("happened: ")


def test_its_help_has_an_example(capsys: Captured) -> None:
    assert main(["diagram", "--help"]) == 0
    assert (
        "happened diagram bookshelf:shelf --aggregate Order -o order.mmd" in capsys.readouterr().out
    )
