"""The life of a request: checked, encoded, signed, matched to its answer by id, or made to wait.

It opens no connection and does not decide when a request leaves: :mod:`binance_session.connections` does. It imports
modules of the package's root only.
"""
