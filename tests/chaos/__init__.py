"""Random faults against a study with several workers, and an independent check of what its database says afterwards."""
