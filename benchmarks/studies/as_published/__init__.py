"""How does mode ``paper`` converge?"""
