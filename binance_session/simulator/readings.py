"""What no document settles: one choice each, open to the other reading.

A client that is tested against both readings is safe whichever is true. Source of the doubts: PROTOCOL.md §11.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

__all__ = ["Readings"]


@frozen(kw_only=True)
class Readings:
    """How the simulator reads what Binance's documents leave open. The defaults are the likelier reading.

    ``revoked_answer``
        Whether the 401 with ``"id": null`` replaces the answer to the request that met it, or comes before
        that request's own 401 (§11.3).
    ``revoked_closes``
        Whether the socket is closed after it (§11.3).
    ``ping_without_key``
        ``userDataStream.ping`` without an active listenKey: -1125, or a new key (§11.4).
    ``accepts_listen_key_param``
        Whether futures' ``userDataStream.ping`` and ``.stop`` take a ``listenKey`` (§11.4).
    ``unasked_signature``
        Futures' ``userDataStream.start``, ``.ping`` and ``.stop`` ask for an ``apiKey`` and no signature, yet a client
        signs them when it is not logged on: refused with -1106, or ignored.
    ``listen_key_per``
        One listenKey for the account, or one for each apiKey (§11.5).
    ``stop_pushes_expired``
        Whether ``userDataStream.stop`` pushes ``listenKeyExpired`` (§11.6).
    ``expired_pushes``
        How many times ``listenKeyExpired`` is pushed for one expiry: two have been seen (§5.3).
    ``expiry_closes_stream``
        Whether the stream socket is closed at expiry; one document says it is not, another that it is (§5.3).
    ``unknown_stream``
        A stream handshake, or a SUBSCRIBE, with a listenKey that does not exist or has expired: accepted and silent,
        or refused (§11.7).
    ``coin_m_query``
        Whether COIN-M's stream socket takes ``/ws?listenKey=``, which no document names and a client uses (§11.7).
    ``usd_m_path``
        Whether the path form of USD-M's stream socket, ``/private/ws/KEY``, brings events in production: one document
        says so, a client's measurements say that it is silent. The testnet serves it (§1.2, §11.13).
    ``usd_m_query``
        Whether the query form without ``events``, ``/private/ws?listenKey=KEY``, brings events: it does by clients'
        measurements, while the notice that introduced it names ``events`` in its example (§1.2, §11.13).
    ``coin_m_stops``
        Whether COIN-M's ``order.place`` refuses stop orders with -4120, as the notice of its integration with USD-M
        announces without a date, or takes them, as the SDKs still document (§11.15).
    ``algo_triggered``
        Whether ALGO_UPDATE tells TRIGGERED after the events of the order that the algo order became, as reports have
        it, or before them (§6.1).
    ``events_come``
        Whether what an order brings about is told after the order's answer or before it. On futures they go
        over two sockets, so that both orders will be met; on Spot they share one.
    ``int_text``
        The documents want INT parameters as JSON integers, yet Binance's own Python SDKs send all of them but
        ``timestamp`` as strings, and lists as strings of JSON. ``True`` takes these too, ``False`` does as the
        documents say.
    ``decimal_numbers``
        The documents want DECIMAL parameters as strings; their own examples, and some clients, send JSON numbers.
    ``cancelled_name``
        Spot: whether a cancelled order is found by its own ``clientOrderId`` still, or by that of its cancellation
        only, which the document says replaces it.
    ``deprecated_oco_counts``
        How many orders ``orderList.place`` counts as: its text says one, its example shows two, as for its successor.
    ``no_reference_price``
        How ``referencePrice`` says that there is none: as an error (-2043), which its sibling does, or with the status
        200 and the code in the ``result``, which its example shows.
    ``subscription_expiry``
        What ``userDataStream.subscribe.listenToken`` tells its ``expirationTime`` in: as all times, or as its example.
    ``ban_after``
        How many refusals with 429 in one interval an address may ignore before it is banned; undocumented.
    """

    revoked_answer: Literal["replaced", "added"] = "replaced"
    revoked_closes: bool = False
    ping_without_key: Literal["refused", "created"] = "refused"
    accepts_listen_key_param: bool = False
    unasked_signature: Literal["refused", "ignored"] = "refused"
    listen_key_per: Literal["account", "key"] = "account"
    stop_pushes_expired: bool = True
    expired_pushes: int = 1
    expiry_closes_stream: bool = False
    unknown_stream: Literal["silent", "refused"] = "silent"
    coin_m_query: Literal["works", "silent"] = "works"
    usd_m_path: Literal["works", "silent"] = "silent"
    usd_m_query: Literal["works", "silent"] = "works"
    coin_m_stops: Literal["refused", "taken"] = "refused"
    algo_triggered: Literal["after", "before"] = "after"
    events_come: Literal["after", "before"] = "after"
    int_text: bool = True
    decimal_numbers: Literal["refused", "accepted"] = "refused"
    cancelled_name: Literal["kept", "replaced"] = "kept"
    deprecated_oco_counts: Literal[1, 2] = 2
    no_reference_price: Literal["error", "result"] = "error"
    subscription_expiry: Literal["milliseconds", "microseconds"] = "milliseconds"
    ban_after: int = 10
