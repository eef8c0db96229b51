"""Training: features kept on disk, batches, the trainer, its logs and checkpoints."""
