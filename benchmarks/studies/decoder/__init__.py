"""Which volume do sums of patterns give: closed forms and implicit networks."""
