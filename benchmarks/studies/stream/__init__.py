"""How fast do patterns come out of every kind of source?"""
