"""Tuning of the decoder: its search, and the confidences of its words."""
