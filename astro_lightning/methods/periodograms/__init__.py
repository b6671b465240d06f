"""Period finding for ragged batches of light curves."""
