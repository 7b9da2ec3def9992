"""The log for a person, on standard error."""

from __future__ import annotations

import logging
import sys
import time

from binance_session.cli.run.writer import Writer

__all__ = ["Log"]


class Log(logging.Handler):
    """Writes what the library and the command log to standard error, each line with its time in UTC.

    A reader that does not read it holds up nothing: it misses lines.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._writer = Writer(sys.stderr.fileno())
        logger = logging.getLogger("binance_session")
        logger.setLevel(level)
        logger.addHandler(self)
        for chatty in ("simulator", "websocket"):
            logger.getChild(chatty).setLevel(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Have the record written."""
        self._writer.post(f"{self.format(record)}\n".encode(errors="replace"))

    def close(self) -> None:
        """Write what waits, within a second."""
        logging.getLogger("binance_session").removeHandler(self)
        self._writer.close(1.0)
        super().close()
