"""Audio in, captions out: sources, segmenter, recogniser, runner, displays."""
