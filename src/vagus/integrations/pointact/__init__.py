"""PointAct's messages, its gateway, the geometry of its observations, and an arm moved by poses."""
