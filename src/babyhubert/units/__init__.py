"""Discrete units: teacher features, k-means over them, a label for every frame, and the quality of the labels."""
