"""Deterministic simulation: the real session and the real simulator live through a story that one number tells.

``python -m tests.simulation --seeds 1000 --days 30`` tells many, ``--seed N -v`` one of them, line by line.
"""
