"""The parts of a training loop."""
