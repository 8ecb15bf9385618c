"""Deployments on a functions worker: package in, running instances out. Called by cli."""
