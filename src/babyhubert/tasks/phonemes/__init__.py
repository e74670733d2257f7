"""Phonemes of the key child: a task that transcribes utterances."""
