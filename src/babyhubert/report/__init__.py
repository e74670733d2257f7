"""Presentation of results: the HTML page of a run, and a figure of publication quality."""
