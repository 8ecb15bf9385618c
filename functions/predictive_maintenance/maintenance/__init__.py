"""The model behind `function.py`: readings to features, features and labels to a risk, and the memory between."""
