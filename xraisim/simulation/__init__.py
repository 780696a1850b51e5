"""A whole simulation: its configuration, the experiment it sets up, the data set it makes."""
