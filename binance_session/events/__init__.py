"""The user data stream: the listenKey and its keepalive, stream sockets or a subscription, gaps, readers.

On every venue one feed delivers the account's events in their order, once each. It may import every other room; only
:mod:`binance_session.session` imports it.
"""
