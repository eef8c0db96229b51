"""Why words are read wrong, for ``errors.py``: what was heard, what was searched, what was cut."""
