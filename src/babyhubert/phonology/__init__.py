"""Phonemes as symbols: inventories, edit distance, CTC, syllables, features, alignment."""
