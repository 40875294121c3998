"""How labels are written; that Mermaid draws them so is tested in a browser, with the guide."""

import pytest

from happened.mermaid import Flowchart, label


@pytest.mark.parametrize(
    "text, written",
    [
        ("BookAdded", "BookAdded"),
        ("Stock.reduce_all", "Stock.reduce_all"),
        ("Größe, 日本", "Größe, 日本"),
        ('a "b"; #c', "a #34;b#34;#59; #35;c"),
        ("__init__", "#95;#95;init#95;#95;"),
        ("1. x", "1#46; x"),
        ("www.x.y", "www#46;x.y"),
        ("a\r\n\t b ", "a b"),
        ("a\x00b\ufeff\u202e\ud800", "a\ufffdb\ufffd\ufffd\ufffd"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("ﬂ°¶ß", "ﬂ\u200c°¶\u200cß"),
        ("", "#160;"),
        (" \n", "#160;"),
        ("\u200d", "#160;\u200d"),
    ],
)
def test_what_mermaid_would_read_as_its_own_is_written_as_an_entity(
    text: str, written: str
) -> None:
    assert label(text) == written


@pytest.mark.parametrize(
    "text, lines",
    [
        ("eighteen_letters_x", ["eighteen_letters_x"]),
        ("OrderCommands.place", ["OrderCommands.", "place"]),
        ("PurchaseOrderConfirmed", ["PurchaseOrder", "Confirmed"]),
        ("update_the_whole_stock", ["update_the_whole_", "stock"]),
        ("two words make two lines", ["two words make two", "lines"]),
        ("a PurchaseOrderWasConfirmed", ["a PurchaseOrderWas", "Confirmed"]),
        ("x" * 40, ["x" * 18, "x" * 18, "x" * 4]),
    ],
)
def test_a_long_name_is_broken_where_its_words_end(text: str, lines: list[str]) -> None:
    assert [
        line.replace("#95;", "_").replace("#46;", ".") for line in label(text).split("<br/>")
    ] == lines


def test_a_line_can_be_longer() -> None:
    assert label("PurchaseOrderConfirmed", width=30) == "PurchaseOrderConfirmed"


def test_a_text_of_more_than_120_characters_is_cut_off() -> None:
    assert label("x" * 120, width=120) == "x" * 120
    assert label("x" * 121, width=120) == "x" * 119 + "…"


def test_nodes_arrows_and_boxes_are_there_once_and_in_order() -> None:
    flow = Flowchart()
    flow.box("box", "A box of orders")
    for _ in "12":
        flow.node("event", 1, "OrderPlaced", box="box")
        flow.node("command", 2, "PlaceOrder")
        flow.node("event", 3, "OrderPaid")
        flow.arrow(1, 3, "Desk.pay")
        flow.arrow(2, 1)
    assert len(flow) == 3
    assert flow.text("LR").splitlines() == [
        "flowchart LR",
        '    c1[/"PlaceOrder"/]:::command',
        '    e2(["OrderPaid"]):::event',
        '    subgraph b1["A box of orders"]',
        "        direction LR",
        '        e1(["OrderPlaced"]):::event',
        "    end",
        '    e1 -->|"Desk.pay"| e2',
        "    c1 --> e1",
    ]
