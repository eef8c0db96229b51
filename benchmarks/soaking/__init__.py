"""Parts of the benchmark of long streams."""
