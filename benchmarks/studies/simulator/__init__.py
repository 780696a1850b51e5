"""Is the simulator right, how fast is it, and how fast are others?"""
