"""Images on their way: planned, built, merged, released and read back, as records that the stages share."""
