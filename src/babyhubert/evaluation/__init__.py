"""The published metrics, and how sure they are.

Reference and predicted segments go in; counts of samples, scores and intervals come out (``detection``), as a table
for people and as files (``presentation``).
"""
