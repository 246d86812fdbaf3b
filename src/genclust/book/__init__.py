"""Running the notebooks and building the book: what ``genclust notebook`` and ``genclust book`` do."""
