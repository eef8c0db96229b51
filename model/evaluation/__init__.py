"""How well a model does: error rates, reports and their pictures."""
