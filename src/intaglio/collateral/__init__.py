"""Getting the vendor's statements about platforms: fetched, cached, or given by hand. Judges nothing."""
