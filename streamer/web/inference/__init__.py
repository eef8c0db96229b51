"""What the model makes of recordings whose words are known."""
