"""Speech to learn from: manifests, and the corpora that they are made of."""
