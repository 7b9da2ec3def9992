"""What a story about user data streams has beside the rest, drawn once, before it begins."""

from __future__ import annotations

from random import Random
from typing import Literal

from attrs import evolve, frozen

from binance_session import Venue
from binance_session.simulator import Readings

__all__ = ["StreamRecipe", "draw_readings", "draw_streams", "draw_venue"]


@frozen
class StreamRecipe:
    """The readers of a story and what happens to the account. Times in seconds, means of random ones."""

    readers: int
    #: how long a reader stays, and is away
    stay: float
    away: float
    #: between two happenings in the account
    quiet: float
    #: whether nothing goes wrong: connections are replaced, and no gap may be told
    calm_waters: bool
    #: whether readers may pause what is read from the network
    pauses: bool
    #: from how many connections at the same time readers want their events, at most
    sockets: Literal[1, 2] = 1


def draw_streams(random: Random, duration: float, *, calm_waters: bool) -> StreamRecipe:
    """Draw the readers for a story that is ``duration`` seconds long."""
    choice = random.choice
    return StreamRecipe(
        readers=choice((1, 1, 2, 3)),
        stay=duration / random.uniform(1, 30),
        away=choice((1.0, 60.0, 600.0)),
        quiet=duration / random.uniform(100, 600),
        calm_waters=calm_waters,
        pauses=random.random() < 0.25 and not calm_waters,  # what is not read for ten minutes is cut, which is a gap
    )


def draw_readings(random: Random, readings: Readings) -> Readings:
    """Draw what the documents leave open about events."""
    choice = random.choice
    return evolve(
        readings,
        stop_pushes_expired=choice((True, True, False)),
        expired_pushes=choice((1, 1, 2)),
        expiry_closes_stream=random.random() < 0.3,
        unknown_stream=choice(("silent", "silent", "refused")),
        events_come=choice(("after", "before")),
    )


def draw_venue(random: Random, venue: Venue, pace: str) -> Venue:
    """Draw how long the exchange lets a connection live."""
    return evolve(venue, lifetime=random.choice((86_400.0, 7200.0))) if pace == "dense" else venue
