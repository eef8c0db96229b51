"""The training step in C++, several times faster on a processor than Keras's."""
