"""The session for programs that are not asynchronous: the same names without ``await``, from any thread.

The session itself lives on an event loop in a thread of its own, and requests go to it by ``submit_threadsafe``;
nothing is implemented twice.
"""

from binance_session.blocking.manager import BlockingSessionManager
from binance_session.blocking.session import BlockingSession
from binance_session.blocking.thread import LoopThread

__all__ = ["BlockingSession", "BlockingSessionManager", "LoopThread"]
