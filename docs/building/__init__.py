"""What ``docs/build.py`` is made of: pages' sources, running lessons, the reference, the commands' help."""
