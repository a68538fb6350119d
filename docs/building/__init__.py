"""What ``docs/build.py`` is made of: the pages' sources, the lessons' execution, the reference and the commands' help."""
