"""The command line: one file per verb, each a thin layer that parses, calls one part of the product and prints.

`main.py` assembles the verbs and is the one place where errors reach the user; `output.py` prints.
"""
