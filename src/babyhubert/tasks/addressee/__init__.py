"""Addressees of adults: a task that classifies utterances."""
