"""What happened in a story, one line each, by virtual time: the same seed, the same lines."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Trace"]


class Trace:
    """The story's lines. ``clock`` returns seconds; ``echo`` shows each line as it comes."""

    def __init__(self, clock: Callable[[], float], echo: Callable[[str], object] | None = None) -> None:
        self._clock = clock
        self._echo = echo
        self.lines: list[str] = []

    def stamp(self) -> str:
        """Return the time as ``12d 03:04:05.678``."""
        milliseconds = int(self._clock() * 1000)
        seconds, milliseconds = divmod(milliseconds, 1000)
        days, seconds = divmod(seconds, 86_400)
        return f"{days:3}d {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds:03}"

    def __call__(self, who: str, what: str) -> None:
        """Add a line."""
        line = f"{self.stamp()} {who:<9} {what}"
        self.lines.append(line)
        if self._echo is not None:
            self._echo(line)
