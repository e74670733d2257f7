"""Tasks that give every utterance one of several classes."""
