"""Measurements that were made, one folder each; README.md lists them."""
