"""What only a GPU shows, measured by one command: ``make gpu`` (docs/explanation/gpu.md)."""
