"""One WebSocket: finding an address, dialling with or without a proxy, the handshake, frames, pings, the close.

It hands each message to its receiver inside ``data_received``, and knows nothing of requests, keys or events. It
imports modules of the package's root only.
"""
