"""Pure functions on pictures: geometry, colour, resampling, masks."""
