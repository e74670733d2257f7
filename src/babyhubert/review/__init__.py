"""Review of clips and of single segments by people, in the browser."""
