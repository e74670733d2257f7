"""The command line: one thin module a command, no logic, no torch before it is needed."""
