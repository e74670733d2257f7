"""Discrete units: teacher features, k-means over them, a label for every frame, and how good the labels are."""
