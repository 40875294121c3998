"""What ``happened projections`` shows and does."""

from typing import Any

from tests.unit.cli.conftest import Run


def test_they_are_listed(shop: Any, run: Run) -> None:
    ran = run("projections", "list", "shop")
    assert ran.code == 0
    assert [line.split() for line in ran.out.splitlines()] == [
        ["projection", "category", "handlers"],
        ["Totals", "totals", "AddUp"],
    ]
    assert run("projections", "list", "shop", "--json").lines == [
        {"projection": "Totals", "category": "totals", "handlers": ["AddUp"]}
    ]


def test_one_is_made_anew(shop: Any, run: Run) -> None:
    shop.place("1", 10)
    shop.place("2", 5)
    shop.domain.catch_up()
    totals = shop.domain.repository_for(shop.Totals)
    wrong = totals.get("all")
    wrong.total = 1000
    totals.add(wrong)
    ran = run("projections", "rebuild", "shop", "Totals")
    assert ran == (0, "Totals: rebuilt from 2 messages\n", "")
    assert totals.get("all").total == 15
    assert run("projections", "rebuild", "shop", "Totals", "--restart").code == 0
    assert totals.get("all").total == 15


def test_an_unknown_one_is_refused(shop: Any, run: Run) -> None:
    assert run("projections", "rebuild", "shop", "Total") == (
        1,
        "",
        "happened: domain 'shop' has no projection 'Total'; did you mean 'Totals'?\n",
    )
