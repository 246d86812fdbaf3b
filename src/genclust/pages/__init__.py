"""What the pages of the book say: tables, sentences and the arrays of figures, worked out from records.

Most pages have a module of their own, named after them.  Several share :mod:`~genclust.pages.tables` and
:mod:`~genclust.pages.columns` (tables of rows), :mod:`~genclust.pages.comparisons` (measured beside reported),
:mod:`~genclust.pages.learning_curves` and :mod:`~genclust.pages.tails` (how a curve goes on).
"""
