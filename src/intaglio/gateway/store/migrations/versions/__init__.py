"""The steps from an empty database to the newest schema, one file each, never changed after a release."""
