"""Voice types: the frame-level task with four voices."""
