"""An application that may not make any file larger than LIMIT bytes until it has seen an error.

That is what a full disk looks like to it. It writes what it found to standard error.
"""

import json
import resource
import signal
import sys

from happened import StorageError
from tests.guarantees.programs.trade import Trade


def main(limit: str, items: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    trade = Trade()
    refused: list[str] = []
    numbers = list(range(int(items)))
    while numbers:
        try:
            trade.domain.process(trade.AddItem(order_id="o0", number=numbers[0]))
            del numbers[0]
        except* StorageError as errors:
            refused += map(str, errors.exceptions)
            if len(refused) >= 3:  # somebody makes room
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
                trade.domain.catch_up()
    sys.stderr.write(json.dumps(refused))


if __name__ == "__main__":
    main(*sys.argv[1:])
