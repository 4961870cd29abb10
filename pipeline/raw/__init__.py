"""Raw recordings where they lie: extracted folders, or archives as downloaded."""
