"""Segments, their files, and the frame grid."""
