"""What others see of an instance, and what sees that it is alive: the control service, metrics, health, the watchdog.

Enters: counts and failures. Leaves: answers to the functions worker and to Prometheus; the end of a process that hangs
or has lost its worker. Called by the instance.
"""
