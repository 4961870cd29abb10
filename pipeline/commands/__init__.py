"""The encoder's commands: parse, call one library function, print, set the exit code."""
