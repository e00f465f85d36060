"""Charts of plans and results: what they show, and altair and SVG to draw them."""
