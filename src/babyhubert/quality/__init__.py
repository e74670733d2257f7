"""Quality of recordings: faults of the recorder, the file and the place, from the sound and detected voices."""
