"""How right is the encoder alone, by form and training time?"""
