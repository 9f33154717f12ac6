"""PointAct's messages and the geometry of its observations: no gateway and no policy yet."""
