"""How good the clusters and the representation are: scores and projections, from arrays to numbers."""
