"""From text to the folder of a language model: the parts of ``lm.build``."""
