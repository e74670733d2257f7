"""Measures of a run: speech, turns, addressees and the child's phones, by recording and by hour."""
