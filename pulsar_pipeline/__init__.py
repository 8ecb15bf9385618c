"""Multi-tenant, geo-replicated online models on Apache Pulsar."""

__version__ = "0.1.0"
