"""For a bot's own tests: an exchange and a session as pytest fixtures. Nothing here is imported until it is used.

The plugin comes with the package: ``binance_exchange``, ``binance_session`` and the marker ``binance``.
"""
