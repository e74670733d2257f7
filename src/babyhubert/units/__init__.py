"""Discrete units: teacher features, k-means over them, one label for every frame, and how good the units are."""
