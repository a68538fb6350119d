"""The sections of the page: a file for each, with a function ``section(numbers, ...)`` that returns its HTML."""
