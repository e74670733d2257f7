"""What the key child says: a task that transcribes utterances."""
