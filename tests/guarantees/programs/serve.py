"""A server, until it is told to stop."""

import logging
import os
import signal

from happened.server import Server
from tests.guarantees.programs.trade import Trade


def main() -> None:
    handler = logging.StreamHandler()
    what = "%(threadName)s: %(message)s %(reason)s"
    handler.setFormatter(logging.Formatter(what, defaults={"reason": ""}))
    logging.getLogger("happened").addHandler(handler)
    domain = Trade().domain
    server = Server(
        domain.processor,
        domain.subscriptions,
        workers=int(os.environ.get("SERVE_WORKERS", "2")),
        poll=0.1,
        grace=float(os.environ.get("SERVE_GRACE", "0.5")),
        context=domain.domain_context,
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server.start()
    signal.sigwait({signal.SIGTERM})
    server.stop(timeout=10)


if __name__ == "__main__":
    main()
