"""Star-convex shapes: a point and the distances from it to the rim along fixed rays; what the decoder `Star` is made of."""
