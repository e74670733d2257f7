"""Training material of all tasks: sources, recordings as arrays, windows, augmentation, batches."""
