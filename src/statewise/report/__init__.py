"""What a person looks at: progress, pictures, films, other loggers."""
