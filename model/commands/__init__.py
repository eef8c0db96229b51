"""What train.py does, command by command."""
