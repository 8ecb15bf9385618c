"""What `bench/runtime.py` is made of: cases, a broker, processes, measuring, the report."""
