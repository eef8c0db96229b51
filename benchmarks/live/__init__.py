"""The live path played, timed, judged and drawn, for ``replay.py`` and its neighbours."""
