"""Policies: the protocol of a policy, and backends that are loaded by name."""
