"""An application: it adds ITEMS items to each of ORDERS orders whose names begin with NAME.

It begins with the first item each time that it is started, after what a process left behind that
was killed. It tells what it could not store.
"""

import sys
import time

import psycopg

from happened import StorageError
from tests.guarantees.programs.trade import Trade


def main(name: str, orders: str, items: str) -> None:
    trade = Trade()
    sell(trade, [f"{name}{number}" for number in range(int(orders))], int(items))


def sell(trade: Trade, orders: list[str], items: int) -> None:
    """Add items to orders; after an error it may not be known what is stored: once more."""
    is_sync = trade.domain.config["event_processing"] == "sync"
    wanted = [(id, number) for number in range(items) for id in orders]
    left_behind = is_sync
    while wanted:
        try:
            if left_behind:
                trade.domain.catch_up()
                left_behind = False
            id, number = wanted[0]
            trade.domain.process(trade.AddItem(order_id=id, number=number))
            del wanted[0]
        except* (StorageError, psycopg.OperationalError) as errors:  # of a handler's own statement
            sys.stderr.writelines(f"{error}\n" for error in errors.exceptions)
            sys.stderr.flush()
            left_behind = is_sync
            time.sleep(0.02)
