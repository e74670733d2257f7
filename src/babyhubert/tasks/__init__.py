"""The derived models: heads, labels and losses."""
