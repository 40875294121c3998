"""What ``happened storage`` does and says."""

from typing import Any

import pytest

from happened.errors import StorageError
from tests.unit.cli.conftest import Run


def test_what_is_created_is_said(shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = iter([["created the tables"], [], ["created the tables"]])
    monkeypatch.setattr(type(shop.domain.storage), "create", lambda self: next(done))
    assert run("storage", "init", "shop") == (0, "created the tables\n", "")
    assert run("storage", "init", "shop") == (0, "sqlite:///shop.db: all was there\n", "")
    assert run("storage", "init", "shop", "--json").json == {
        "storage": "sqlite:///shop.db",
        "done": ["created the tables"],
    }


def test_a_storage_that_lacks_nothing_is_well(shop: Any, run: Run) -> None:
    assert run("storage", "init", "shop").code == 0
    assert run("storage", "check", "shop") == (0, "sqlite:///shop.db: all is there\n", "")


def test_what_is_lacking_is_said(shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = ["the tables are not there", "an index is not there"]
    monkeypatch.setattr(type(shop.domain.storage), "problems", lambda self: lacking)
    assert run("storage", "check", "shop") == (
        1,
        "",
        "happened: the tables are not there\nhappened: an index is not there\n",
    )
    ran = run("storage", "check", "shop", "--json")
    assert ran.code == 1
    assert ran.json == {"storage": "sqlite:///shop.db", "problems": lacking}


def test_a_storage_that_cannot_be_reached_is_a_line(
    shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(self: object) -> list[str]:
        raise StorageError("sqlite:///shop.db", "the disk is gone")

    monkeypatch.setattr(type(shop.domain.storage), "problems", unreachable)
    assert run("storage", "check", "shop") == (
        1,
        "",
        "happened: sqlite:///shop.db: the disk is gone\n",
    )
