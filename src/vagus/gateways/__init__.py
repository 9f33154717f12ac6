"""Gateways: what the protocols of other systems share, on the way in and on the way out."""
