"""What `binance_session` costs, measured beside reference lines that do less.

``python -m benchmarks`` runs everything; ``python -m benchmarks dispatch|roundtrip --rounds N --json FILE`` one part.
A time means nothing alone, least of all on a shared machine: the column to read is the ratio, taken within each round
between slices that ran next to each other, and the warning below the table when even that was too noisy.
"""
