"""Rebuilds a projection."""

from tests.guarantees.programs.trade import Trade


def main() -> None:
    Trade().domain.rebuild("Sales")


if __name__ == "__main__":
    main()
