"""The published metrics with confidence intervals.

Input: reference and predicted segments. Output: counts of samples, scores and intervals (``detection``), as tables and
files (``presentation``).
"""
