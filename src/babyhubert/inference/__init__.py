"""Models over long recordings."""
