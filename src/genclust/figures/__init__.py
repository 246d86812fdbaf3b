"""Drawing, from arrays to matplotlib axes: no training and no files here."""
