"""The doctor: checks the machine, the microphone and the models, with a remedy for each fault."""
