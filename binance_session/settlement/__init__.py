"""What became of a request whose outcome is unknown.

:mod:`~binance_session.settlement.machine` decides when to ask and what is known; what to ask about a request of each
method, and what an answer means, is a question of :mod:`~binance_session.settlement.questions`. Both are pure: no I/O,
no clock. :mod:`~binance_session.settlement.settler` does what the machine wants, and knows of the session only what it
is given. It imports the package's root and :mod:`binance_session.requests` only.
"""
