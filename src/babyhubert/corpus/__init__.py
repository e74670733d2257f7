"""From recordings to training material: inventory, speech regions, training segments, shards."""
