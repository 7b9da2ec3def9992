"""The API connection, kept ready: logged on, replaced when it is lost or due, held back by the exchange's limits.

The supervisor is the only writer of the session's state. It imports the package's root,
:mod:`binance_session.websocket` and :mod:`binance_session.requests`.
"""
