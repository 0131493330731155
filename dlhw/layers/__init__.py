"""Building blocks of networks; they know torch and nothing else of this package."""
