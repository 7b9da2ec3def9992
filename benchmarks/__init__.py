"""What `binance_session` costs, measured beside reference lines that do less and beside what other people use.

``python -m benchmarks`` runs everything in less than five minutes, and writes ``results.json`` and the figures;
``python -m benchmarks NAME --rounds N --size N --json FILE`` runs one part. The peers and HdrHistogram come with the
extra ``[bench]``; a peer that is not installed is left out with a line that says so.

A time means nothing alone, least of all on a shared machine: the column to read is the ratio, taken within each round
between slices that ran next to each other, and the warning below the table when even that was too noisy. What no
neighbour can change (``counts``: bytecodes, allocations) is kept in a file and tested.
"""
