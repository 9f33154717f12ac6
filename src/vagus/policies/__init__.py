"""Policies: the protocol, and backends loaded by name."""
