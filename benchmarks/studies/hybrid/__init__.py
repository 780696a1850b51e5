"""What is each part of mode ``hybrid`` worth, and how soon does it reach a resolution?"""
