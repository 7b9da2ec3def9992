"""``python -m binance_session``: the command line."""

from binance_session.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
