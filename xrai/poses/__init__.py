"""What turns a pattern and a volume into a pose, or a posterior over poses."""
