"""The log for a person, on standard error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Final

from binance_session.cli.run.writer import Writer
from binance_session.masking import shown

__all__ = ["Log"]

#: characters of a line that are written
_LONGEST: Final = 2000


class Log(logging.Handler):
    """Writes what the library and the command log to standard error, each line with its time in UTC.

    A reader that does not read it holds up nothing: it misses lines. ``mask`` is asked for each text. What follows
    the first line of a record, as a traceback does, is indented: whatever is logged cannot look like a record of its
    own.
    """

    def __init__(self, level: int, mask: Callable[[str], str] = str) -> None:
        super().__init__(level)
        self._mask = mask
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._writer = None if sys.stderr is None else Writer(sys.stderr.fileno())
        # at the root, so that what asyncio has to say passes here too: it quotes exceptions
        logging.getLogger().addHandler(self)
        logger = logging.getLogger("binance_session")
        logger.setLevel(level)
        for chatty in ("simulator", "websocket"):
            logger.getChild(chatty).setLevel(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Have the record written."""
        if self._writer is not None:
            self._writer.post(f"{self.format(record)}\n".encode(errors="replace"))

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text that forges no line and steers no terminal."""
        message, *trace = super().format(record).split("\n") if record.exc_info else [super().format(record)]
        return "\n    ".join(shown(self._mask(line), _LONGEST) for line in (message, *trace))

    def close(self) -> None:
        """Write what waits, within a second."""
        logging.getLogger().removeHandler(self)
        if self._writer is not None:
            self._writer.close(1.0)
        super().close()
