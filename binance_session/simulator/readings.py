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
    listen_key_per: Literal["account", "key"] = "account"
    stop_pushes_expired: bool = True
    expired_pushes: int = 1
    expiry_closes_stream: bool = False
    unknown_stream: Literal["silent", "refused"] = "silent"
    coin_m_query: Literal["works", "silent"] = "works"
    events_come: Literal["after", "before"] = "after"
    int_text: bool = True
    decimal_numbers: Literal["refused", "accepted"] = "refused"
    cancelled_name: Literal["kept", "replaced"] = "kept"
    deprecated_oco_counts: Literal[1, 2] = 2
    no_reference_price: Literal["error", "result"] = "error"
    subscription_expiry: Literal["milliseconds", "microseconds"] = "milliseconds"
    ban_after: int = 10
