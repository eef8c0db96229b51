"""Changes to training speech that leave its transcript true."""
