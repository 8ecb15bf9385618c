"""A plan's steps in, changed clusters and an audit record out. Called by cli.

`execute.py` takes the steps one by one; `audit.py` writes down who did what.
"""
