"""Audio files in, transcripts out."""
