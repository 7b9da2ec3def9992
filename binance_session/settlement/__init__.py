"""What became of a request whose outcome is unknown.

:mod:`~binance_session.settlement.machine` decides when to ask and what is known; what to ask about a request of each
method, and what an answer means, is a question of :mod:`~binance_session.settlement.questions`. Both are pure: no I/O,
no clock. It imports modules of the package's root only.
"""
