"""From a folder of photos and masks, or from nothing at all, to arrays that can be trained on."""
