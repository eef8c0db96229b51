"""Language models and the decoders that use them."""
