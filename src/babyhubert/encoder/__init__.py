"""The HuBERT encoder and its checkpoints."""
