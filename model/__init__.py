"""Everything acoustic: alphabet, features, network, bundle, training, evaluation."""
