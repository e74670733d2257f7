"""To and from the tools in which people annotate: exports, clips to annotate, corrections read back."""
