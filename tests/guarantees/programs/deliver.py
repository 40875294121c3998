"""Delivers what is left for handlers, and ends."""

from tests.guarantees.programs.trade import Trade


def main() -> None:
    Trade().domain.catch_up()


if __name__ == "__main__":
    main()
