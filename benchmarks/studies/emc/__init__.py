"""How fast does EMC converge beside Dragonfly, how does it scale, does it tell classes apart?"""
