"""Parts of ``benchmarks/replay.py``: the live path played, timed, judged and drawn."""
