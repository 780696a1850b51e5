"""How fast every compiled loop is, beside its plain form, and from one commit to another."""
