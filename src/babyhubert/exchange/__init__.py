"""Exchange with annotation tools: exports, clips to annotate, corrections read back."""
