"""Pages that a person works with in the browser, served to this machine alone: the server, its guard, its files."""
