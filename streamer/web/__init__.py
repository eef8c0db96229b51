"""Captions, recordings and learning in a browser."""
