"""The recordings that users keep: audio, transcripts and their corrections."""
