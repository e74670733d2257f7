"""Masked prediction of units: one iteration, and the recipe of two."""
