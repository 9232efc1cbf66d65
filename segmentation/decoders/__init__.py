"""From what the network says about pixels to cells; one module per method."""
