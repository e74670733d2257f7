"""Work that is done recording by recording, shared out: one process, many workers, or parts for any queue."""
