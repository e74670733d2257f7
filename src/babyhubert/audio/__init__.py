"""From any file to 16 kHz mono float32 samples, streamed or by range: ``recording`` is the way in."""
