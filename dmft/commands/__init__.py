"""The trainer's commands: parse, call one library function, print, set the exit code."""
