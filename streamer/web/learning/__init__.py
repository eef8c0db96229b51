"""A model that learns from the corrections that its users make."""
