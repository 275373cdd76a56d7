"""The command line: one module a command. A command's heavy imports happen inside it, so that `--help` stays quick."""
