"""Running the notebooks and building the book: ``python -m genclust.book build | notebook NAME``."""
