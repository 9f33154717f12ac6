"""The command line: `vagus <command>`."""
