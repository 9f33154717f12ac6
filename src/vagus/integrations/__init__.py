"""Vagus inside other frameworks' programs; each module needs its framework and is loaded by name."""
