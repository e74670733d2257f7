"""The command line: one thin module per command, without logic, and without torch until it is needed."""
