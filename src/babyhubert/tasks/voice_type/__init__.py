"""Who speaks when: the frame-level task of four voices."""
