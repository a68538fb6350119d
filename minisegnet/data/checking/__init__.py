"""Checks of a data set: ``check.check_data`` makes all of them, and each file holds the checks of one kind.

Nothing here prints. A check is a function from what ``survey`` saw of the files to findings. (This file imports
nothing, because folders take the words of their refusals from here.)
"""
