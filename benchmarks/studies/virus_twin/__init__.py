"""Does a simulated twin of a measured virus end at the right size and shape?"""
