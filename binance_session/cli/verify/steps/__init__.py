"""The steps, each with its probes, in the order in which they are done."""

from __future__ import annotations

from typing import Final

from binance_session.cli.verify.probe import Step
from binance_session.cli.verify.steps.envelope import ADDRESS, ENVELOPE
from binance_session.cli.verify.steps.listenkeys import LISTEN_KEYS
from binance_session.cli.verify.steps.market import MARKET
from binance_session.cli.verify.steps.orders import ORDERS
from binance_session.cli.verify.steps.session import SESSION
from binance_session.cli.verify.steps.signing import CLOCK, SIGNING
from binance_session.cli.verify.steps.streams import STOPPING, STREAMS
from binance_session.cli.verify.steps.subscriptions import SUBSCRIBING, UNSUBSCRIBING
from binance_session.cli.verify.steps.waiting import REVOCATION, SLOW
from binance_session.cli.verify.steps.weights import WEIGHTS

__all__ = ["STEPS"]

STEPS: Final[tuple[Step, ...]] = (
    SESSION,
    SIGNING,
    CLOCK,
    ENVELOPE,
    ADDRESS,
    WEIGHTS,
    MARKET,
    LISTEN_KEYS,
    STREAMS,
    SUBSCRIBING,
    ORDERS,
    UNSUBSCRIBING,
    STOPPING,
    SLOW,
    REVOCATION,
)
