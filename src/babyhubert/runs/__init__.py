"""Runs over many recordings: folders, records, journals, shards, workers."""
