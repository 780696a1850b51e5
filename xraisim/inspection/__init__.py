"""What a pattern file looks like: figures, a picture, a page."""
