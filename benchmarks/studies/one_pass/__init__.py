"""How right is X-RAI after one pass over the patterns, and which parts does it need?"""
