"""Reading of any audio file as 16 kHz mono float32 samples, streamed or by range; start at :mod:`recording`."""
