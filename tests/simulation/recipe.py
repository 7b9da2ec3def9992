"""What kind of story a seed tells: drawn once, before it begins."""

from __future__ import annotations

from random import Random
from typing import Any, Final, Literal

from attrs import evolve, field, frozen

from binance_session import COIN_M, SPOT, USD_M, Venue
from binance_session.simulator import Readings
from tests.simulation.streamrecipe import StreamRecipe, draw_readings, draw_streams, draw_venue

__all__ = ["DAY", "Pace", "Recipe"]

DAY: Final = 86_400.0
Key = Literal["ed25519", "unlogged", "hmac", "none"]
Pace = Literal["dense", "medium", "calm"]


@frozen
class Recipe:
    """The settings of one story. Times in seconds."""

    seed: int
    pace: Pace
    duration: float
    venue: Venue
    readings: Readings
    #: ``ed25519`` logs on; ``unlogged`` could and does not; ``hmac`` cannot; ``none`` has no key
    key: Key
    #: the session's keyword arguments, but for the policies
    options: dict[str, Any]
    keepalive: Literal["adaptive", "fixed", "none", "broken"]
    reconnect: Literal["backoff", "eager", "broken", "quits"]
    #: whether the hooks of the session raise now and then
    broken_hooks: bool
    #: whether it is a plain ``Session``, with no hook overridden
    plain: bool
    #: whether the account's listenKey is kept alive
    keeps_listen_key: bool
    latency: float
    #: seconds between two looks for a suspension of the process: in an idle month there is nothing else to do
    look_every: float
    #: mean seconds between two actions of the bot, and between two troubles
    think: float
    peace: float
    #: chance that the bot closes its session after an action
    restless: float = field(default=0.0)
    #: who reads user data streams, if anybody does
    streams: StreamRecipe | None = None
    #: whether the network is one as they are: see networktroubles.py
    network: bool = False

    @classmethod
    def draw(
        cls,
        seed: int,
        days: float | None = None,
        pace: Pace | None = None,
        *,
        streams: bool = False,
        network: bool = False,
    ) -> Recipe:
        """Draw a story for a seed, ``days`` long or as long as its pace makes it, about ``streams`` or not.

        ``network``: the same story, with the troubles of networktroubles.py beside all others.
        """
        recipe = cls._draw(seed, days, pace)
        recipe = recipe._with_streams() if streams else recipe
        return evolve(recipe, network=network)

    @classmethod
    def _draw(cls, seed: int, days: float | None, pace: Pace | None) -> Recipe:
        random = Random(f"recipe {seed}")
        choice = random.choice
        drawn: Pace = random.choices(("dense", "medium", "calm"), (5, 3, 4))[0]
        pace = drawn if pace is None else pace
        venue = random.choices((COIN_M, USD_M, SPOT), (5, 2, 2))[0]
        key: Key = random.choices(("ed25519", "unlogged", "hmac", "none"), (14, 2, 2, 1))[0]
        keeps_listen_key = venue.has_listen_key and key != "none" and random.random() < {"calm": 0.1}.get(pace, 0.7)
        readings = Readings(
            revoked_answer=choice(("replaced", "added")),
            revoked_closes=random.random() < 0.3,
            ping_without_key=choice(("refused", "created")),
            listen_key_per=choice(("account", "key")),
            cancelled_name="replaced" if seed % 2 else "kept",  # not drawn: older seeds tell the same stories
        )
        options: dict[str, Any] = {
            "request_timeout": choice((2.0, 10.0, 10.0, 30.0)),
            "on_unready": choice(("auto", "auto", "wait", "fail")),
            "max_in_flight": choice((3, 10_000, 10_000)),
            "close_timeout": choice((0.5, 5.0)),
            "open_timeout": choice((3.0, 10.0)),
            "recv_window": choice((None, None, 1000, 60_000)),
            "rollover_after": choice((82_800.0, 82_800.0, None, None if pace == "calm" else 3600.0)),
        }
        if pace == "dense":
            hours = 10 ** random.uniform(-0.5, 1.3)
            options["ping_interval"], options["ping_timeout"] = choice(
                ((10.0, 10.0), (2.0, 1.0), (600.0, 20.0), (None, None))
            )
            think, peace = hours * 3600 / random.uniform(100, 600), hours * 3600 / random.uniform(40, 250)
        else:
            hours = random.uniform(60.0, 400.0) if pace == "medium" else random.uniform(1500.0, 9000.0)
            if pace == "calm" and keeps_listen_key:
                hours /= 10  # 70 pings a day are most of the work
            options["ping_interval"], options["ping_timeout"] = choice(((None, None), (20_000.0, 20.0), (3600.0, 5.0)))
            think = hours * 3600 / random.uniform(100, 500)
            peace = hours * 3600 / random.uniform(30, 200)
            # an idle connection costs nothing but these pings
            venue = evolve(venue, server_ping_interval=random.uniform(4, 40) * 3600, pong_timeout=600.0)
        if days is not None:
            hours = days * 24
        return cls(
            seed=seed,
            pace=pace,
            duration=hours * 3600,
            venue=venue,
            readings=readings,
            key=key,
            # not drawn: older seeds tell the same stories
            options={**options, "coalesce": seed % 3 == 0, "standby": seed % 4 == 1},
            keepalive=random.choices(("adaptive", "fixed", "none", "broken"), (8, 2, 1, 1))[0],
            reconnect=random.choices(("backoff", "eager", "broken", "quits"), (9, 1 if pace == "dense" else 0, 1, 1))[
                0
            ],
            broken_hooks=random.random() < 0.15,
            plain=random.random() < 0.2,
            keeps_listen_key=keeps_listen_key,
            look_every=choice((2.0, 60.0, 60.0, 60.0)) if pace == "dense" else 1e6,
            latency=choice((0.0, 0.0, 0.001, 0.02, 0.2)),
            think=think,
            peace=peace,
            restless=choice((0.0, 0.0, 0.01, 0.05)),
        )

    def _with_streams(self) -> Recipe:
        """Return the same story with readers of user data streams in it."""
        random = Random(f"streams {self.seed}")
        calm_waters = random.random() < 0.2
        venue = random.choices((COIN_M, USD_M, SPOT), (3, 2, 3))[0]
        if self.pace != "dense":
            venue = evolve(
                venue, server_ping_interval=self.venue.server_ping_interval, pong_timeout=self.venue.pong_timeout
            )
        options = dict(self.options)
        if self.pace == "dense":
            options["rollover_after"] = random.choice((None, 82_800.0, 6000.0, 3600.0, 300.0))
        duration = self.duration / 10 if self.pace == "calm" else self.duration
        recipe = evolve(
            self,
            duration=duration,
            venue=draw_venue(random, venue, self.pace),
            readings=draw_readings(random, self.readings),
            key=random.choices(("ed25519", "unlogged", "hmac"), (6, 1, 2))[0],
            options=options,
            keeps_listen_key=venue.has_listen_key and random.random() < 0.2,
            streams=draw_streams(random, duration, calm_waters=calm_waters),
            think=self.think if self.pace != "calm" else self.think / 10,
            # in a story with little trouble all is well for long, and then everything must come at once
            peace=random.choice((1.0, 1.0, 5.0)) * (self.peace if self.pace != "calm" else self.peace / 10),
        )
        if self.seed % 11 in (1, 2) and recipe.streams is not None:  # not drawn: older seeds tell the same stories
            options["standby"] = options["standby"] or not venue.has_listen_key
            recipe = evolve(recipe, streams=evolve(recipe.streams, sockets=2))
        if not calm_waters:
            return recipe
        options["rollover_after"] = random.choice((300.0, 3600.0, 6000.0))
        options["max_in_flight"] = 10_000
        options["request_timeout"] = 30.0
        options["recv_window"] = None
        return evolve(
            recipe,
            keepalive=random.choice(("adaptive", "adaptive", "fixed")),
            reconnect="backoff",
            broken_hooks=False,
            restless=0.0,
        )
